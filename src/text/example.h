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

/// What a record of training data holds.
enum class ExampleKind {
  kText, // {"text"}: every token is trained on
  kChat, // {"messages"} or {"prompt", "completion"}: the assistant's tokens
  kPreference, // {"prompt", "chosen", "rejected"}: two answers to one prompt
};

/// Tokens, and which of them are trained on (empty: all).
using TrainingSequence = TokenizedChat;

/// A tokenized record, or why there is none.
struct Example {
  ExampleKind kind = ExampleKind::kText;
  /// One, or two for a preference: chosen, then rejected. None for an empty
  /// text and for what was dropped.
  std::vector<TrainingSequence> sequences;
  std::string problem; // of the record; empty = none
  /// Where in the record, if it is not JSON.
  std::optional<size_t> problem_offset;
  bool cut = false;
  /// Of sequences that were cut: tokens before, and those cut off.
  uint64_t whole_tokens = 0;
  uint64_t cut_tokens = 0;
  bool dropped = false;
};

/// How examples are made.
struct ExampleOptions {
  const Vocabulary* vocabulary = nullptr;
  const ChatFormat* format = nullptr;
  /// Expect kPreference, else refuse it.
  bool preference = false;
  /// Target tokens of the longest sample; not for kText, which is cut later.
  int64_t seq_len = 0;
  TooLong too_long = TooLong::kCut;
};

/// Reads one JSON record.
Example read_example(
    std::string_view record,
    const ExampleOptions& options,
    Vocabulary::Encoder& encoder);

} // namespace accrue
