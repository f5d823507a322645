// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat.h"
#include "text/sample_options.h"
#include "text/vocabulary.h"

namespace accrue {

/// Kind of a record of training data.
enum class ExampleKind {
  kText, // {"text"}: all tokens are trained on
  kChat, // {"messages"} or {"prompt", "completion"}: the assistant's tokens
  kPreference, // {"prompt", "chosen", "rejected"}: two answers to one prompt
};

/// Tokens and their loss mask (empty: all 1).
using TrainingSequence = TokenizedChat;

/// A tokenized record, or the problem with it.
struct Example {
  ExampleKind kind = ExampleKind::kText;
  /// One sequence, or two for a preference pair: chosen, then rejected. None
  /// for an empty text or a dropped record.
  std::vector<TrainingSequence> sequences;
  std::string problem; // problem with the record; empty = none
  /// Offset of the problem in the record, if the record is not JSON.
  std::optional<size_t> problem_offset;
  /// Whether a sequence was truncated.
  bool truncated = false;
  /// Tokens of truncated sequences before truncation.
  uint64_t whole_tokens = 0;
  /// Tokens that truncation removed.
  uint64_t removed_tokens = 0;
  /// Whether the record is not used: too long, or nothing to train on.
  bool dropped = false;
};

/// Settings for reading examples.
struct ExampleOptions {
  /// Vocabulary that gives the ids; must not be null.
  const Vocabulary* vocabulary = nullptr;
  /// Format of conversations; must not be null.
  const ChatFormat* format = nullptr;
  /// Whether records must be preference pairs. Otherwise such pairs are errors.
  bool preference = false;
  /// Target tokens of the longest sample, >= 1. Has no effect on kText, which
  /// is split later.
  int64_t seq_len = 0;
  /// Treatment of examples that are longer.
  TooLong too_long = TooLong::kTruncate;
};

/// Reads one JSON record. Errors are returned in Example::problem.
Example read_example(
    std::string_view record,
    const ExampleOptions& options,
    Vocabulary::Encoder& encoder);

} // namespace accrue
