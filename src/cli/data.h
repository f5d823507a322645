// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "report/progress.h"
#include "run/model_source.h"
#include "text/chat.h"
#include "text/corpus.h"

namespace accrue::cli {

/// Settings that decide how records become tokens.
struct DataOptions {
  ChatOptions chat;
  bool skip_bad_lines = false;
  /// Expect preference pairs.
  bool preference = false;
  TooLong too_long = TooLong::kTruncate;
  /// Target tokens of the longest sample.
  int64_t seq_len = 0;
};

/// Vocabulary and chat template of a model, and corpora made with them.
class DataReader {
 public:
  /// Throws DataError or ConfigError for a tokenizer or template that cannot be
  /// used.
  DataReader(const ModelSource& source, const DataOptions& options);
  DataReader(const DataReader&) = delete;
  DataReader& operator=(const DataReader&) = delete;

  const Vocabulary& vocabulary() const {
    return vocabulary_;
  }
  const ChatFormat& format() const {
    return format_;
  }

  /// Reads files and folders, or finds their tokens in the cache. Throws
  /// DataError.
  std::shared_ptr<const Corpus> open(
      const std::vector<std::string>& paths,
      const ProgressCallback& tick) const;

 private:
  DataOptions options_;
  Vocabulary vocabulary_;
  ChatFormat format_;
};

} // namespace accrue::cli
