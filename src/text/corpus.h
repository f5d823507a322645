#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/files.h"
#include "text/example.h"
#include "text/files.h"

namespace accrue {

struct CorpusOptions {
  /// Files and folders. A folder stands for the files below it that end in
  /// .txt, .jsonl, .ndjson or .json, or in one of these and .gz or .zst, sorted
  /// by path. The latter three hold records (text/json_splitter.h,
  /// text/example.h); any other file is one document of UTF-8 text.
  std::vector<std::string> paths;
  /// Count records that are not examples instead of failing on them.
  bool skip_bad_lines = false;
  /// Where tokenized corpora are kept.
  std::filesystem::path cache;
  Vocabulary vocabulary;
  /// How conversations are written; nullptr: as the vocabulary suggests.
  const ChatFormat* format = nullptr;
  /// Expect preference pairs.
  bool preference = false;
  /// Of examples, not of text: see ExampleOptions.
  int64_t seq_len = 0;
  TooLong too_long = TooLong::kCut;
  /// At work at once; 0 = as many as the machine has cores.
  int threads = 0;
};

/// Called now and then while a corpus is read: what is being done, with bytes
/// done and in all.
using CorpusProgress =
    std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

/// Records that were skipped, cut or dropped.
struct CorpusCounts {
  uint64_t bad_lines = 0;
  uint64_t cut = 0;
  /// Of those: tokens before, and those cut off.
  uint64_t whole_tokens = 0;
  uint64_t cut_tokens = 0;
  uint64_t dropped = 0;
};

/// ", 3 bad lines skipped", …; empty if all lines became what they are.
std::string describe(const CorpusCounts& counts);

/// A tokenized corpus: documents end to end, each closed by the end of text.
/// An example of chat is a document; a preference is two. Memory-mapped from
/// the cache, so it may be larger than memory.
class Corpus {
 public:
  /// Reads the files, or finds them in the cache: the key covers the contents
  /// of each, and the tokenizer. Records and blocks of text are tokenized in
  /// parallel; the result does not depend on it. Throws DataError naming file
  /// and line.
  static Corpus open(
      const CorpusOptions& options,
      const CorpusProgress& progress = {});

  ExampleKind kind() const {
    return kind_;
  }
  uint64_t num_tokens() const {
    return tokens_.bytes().size() / width_;
  }
  uint64_t num_documents() const {
    return documents_.bytes().size() / sizeof(uint64_t);
  }
  /// Tokens [begin, end). Their pages don't stay with the process.
  std::vector<int64_t> tokens(uint64_t begin, uint64_t end) const;
  /// Which of them are trained on, 0 or 1. Only for examples, not for text.
  std::vector<uint8_t> trained(uint64_t begin, uint64_t end) const;
  /// One past the last token of document `index`.
  uint64_t document_end(uint64_t index) const;

  const CorpusCounts& counts() const {
    return counts_;
  }
  /// What the folders hold beside.
  const LeftOut& left_out() const {
    return left_out_;
  }
  /// Of tokens, what is trained on, and where documents end: the same for the
  /// same data wherever its files lie.
  const std::string& digest() const {
    return digest_;
  }

 private:
  std::string digest_;
  ExampleKind kind_ = ExampleKind::kText;
  size_t width_ = 1; // bytes of a token: 1, 2 or 4
  io::MappedFile tokens_;
  io::MappedFile trained_; // one byte each; empty for text
  io::MappedFile documents_; // ends, uint64 each
  CorpusCounts counts_;
  LeftOut left_out_;
};

/// $XDG_CACHE_HOME/accrue or ~/.cache/accrue.
std::filesystem::path default_cache();

} // namespace accrue
