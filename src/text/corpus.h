#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/files.h"

namespace accrue {

struct CorpusOptions {
  /// Files and folders. A folder stands for the .txt and .jsonl files below
  /// it, sorted by path. Files ending in .jsonl, .ndjson or .json hold one
  /// {"text": "..."} per line, each a document; any other file is one document
  /// of UTF-8 text.
  std::vector<std::string> paths;
  /// Count lines that are no such object instead of failing on them.
  bool skip_bad_lines = false;
  /// Where tokenized corpora are kept.
  std::filesystem::path cache;
};

/// Called now and then while a corpus is read, with bytes done and in all.
using CorpusProgress = std::function<void(uint64_t done, uint64_t total)>;

/// A tokenized corpus: documents end to end, each closed by the separator.
/// Memory-mapped from the cache, so it may be larger than memory.
class Corpus {
 public:
  /// Reads the files, or finds them in the cache: the key covers path, size
  /// and modification time of each. Throws DataError naming file and line.
  static Corpus open(
      const CorpusOptions& options,
      const CorpusProgress& progress = {});

  uint64_t num_tokens() const {
    return tokens_.bytes().size();
  }
  uint64_t num_documents() const {
    return documents_.bytes().size() / sizeof(uint64_t);
  }
  /// Tokens [begin, end). Their pages don't stay with the process.
  std::vector<int64_t> tokens(uint64_t begin, uint64_t end) const;
  /// One past the last token of document `index`, its separator included.
  uint64_t document_end(uint64_t index) const;

  /// Lines left out because of skip_bad_lines.
  uint64_t skipped_lines() const {
    return skipped_lines_;
  }

 private:
  io::MappedFile tokens_; // one byte each
  io::MappedFile documents_; // ends, uint64 each
  uint64_t skipped_lines_ = 0;
};

/// $XDG_CACHE_HOME/accrue or ~/.cache/accrue.
std::filesystem::path default_cache();

} // namespace accrue
