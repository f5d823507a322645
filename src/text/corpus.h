// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/progress.h"
#include "io/files.h"
#include "text/example.h"
#include "text/files.h"

namespace accrue {

/// Files to tokenize, and how.
struct CorpusOptions {
  /// Files and folders. A folder stands for the files below it that end in
  /// .txt, .jsonl, .ndjson or .json, also followed by .gz or .zst, sorted by
  /// path. The last three hold records (text/json_splitter.h, text/example.h);
  /// any other file is one document of UTF-8 text.
  std::vector<std::string> paths;
  /// Whether records that are not examples are counted and skipped. Otherwise
  /// they are errors.
  bool skip_bad_lines = false;
  /// Folder for tokenized corpora, which is created if necessary.
  std::filesystem::path cache;
  /// Vocabulary that gives the ids.
  Vocabulary vocabulary;
  /// Format of conversations; nullptr = the one that the tokens of the
  /// vocabulary suggest. Must outlive the call.
  const ChatFormat* format = nullptr;
  /// Whether records must be preference pairs. Otherwise such pairs are errors.
  bool preference = false;
  /// Target tokens of the longest example. Has no effect on text, which is
  /// split later.
  int64_t seq_len = 0;
  /// Treatment of examples that are longer.
  TooLong too_long = TooLong::kTruncate;
  /// Number of threads; 0 = one per core of the machine.
  int threads = 0;
};

/// Input records that were skipped, truncated or dropped.
struct CorpusCounts {
  /// Records that were skipped because of errors.
  uint64_t bad_lines = 0;
  /// Records that were truncated.
  uint64_t truncated = 0;
  /// Tokens of truncated records before truncation.
  uint64_t whole_tokens = 0;
  /// Tokens that truncation removed.
  uint64_t removed_tokens = 0;
  /// Records that were dropped: too long, or nothing to train on.
  uint64_t dropped = 0;
};

/// Returns ", 3 bad lines skipped", …; empty if all records were used whole.
std::string describe(const CorpusCounts& counts);

/// A tokenized corpus: documents one after another, each followed by the end of
/// text. A conversation is one document, a preference pair is two. The corpus
/// is memory-mapped from the cache, so that it may be larger than memory.
class Corpus {
 public:
  /// Tokenizes the files, or finds their tokens in the cache. The key of the
  /// cache covers the contents of the files, the vocabulary and the options
  /// that change tokens. Records and blocks of text are tokenized in parallel;
  /// the result does not depend on the number of threads. Throws DataError
  /// naming file and line.
  static Corpus open(
      const CorpusOptions& options,
      const ProgressCallback& progress = {});

  ExampleKind kind() const {
    return kind_;
  }
  uint64_t num_tokens() const {
    return tokens_.bytes().size() / width_;
  }
  uint64_t num_documents() const {
    return documents_.bytes().size() / sizeof(uint64_t);
  }
  /// Returns tokens [begin, end). Their pages are released from memory.
  std::vector<int64_t> tokens(uint64_t begin, uint64_t end) const;
  /// Returns the loss mask of tokens [begin, end): 1 for a token that is
  /// trained on, else 0. Text has none.
  std::vector<uint8_t> loss_mask(uint64_t begin, uint64_t end) const;
  /// Returns one past the last token of document `index`.
  uint64_t document_end(uint64_t index) const;

  const CorpusCounts& counts() const {
    return counts_;
  }
  /// Files in the folders that are not read.
  const LeftOut& left_out() const {
    return left_out_;
  }
  /// Hash of the tokens, the loss mask and the ends of documents. Equal for the
  /// same data wherever its files are.
  const std::string& digest() const {
    return digest_;
  }

 private:
  /// Maps the files of a cache entry (text/corpus_cache.h) whose tokens have
  /// `width` bytes. Throws DataError if they can't be read.
  Corpus(const std::filesystem::path& entry, size_t width);

  std::string digest_;
  ExampleKind kind_ = ExampleKind::kText;
  size_t width_ = 1; // bytes per token: 1, 2 or 4
  io::MappedFile tokens_;
  io::MappedFile loss_mask_; // one byte each; empty for text
  io::MappedFile documents_; // ends of documents, uint64 each
  CorpusCounts counts_;
  LeftOut left_out_;
};

/// Returns $XDG_CACHE_HOME/accrue or ~/.cache/accrue.
std::filesystem::path default_cache();

} // namespace accrue
