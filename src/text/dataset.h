#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "text/corpus.h"

namespace accrue {

/// One training sequence: tokens[t + 1] is the target of tokens[t].
struct Sample {
  uint64_t id = 0;
  std::vector<int64_t> tokens; // [length + 1]

  int64_t length() const {
    return static_cast<int64_t>(tokens.size()) - 1;
  }
};

/// Cuts a corpus into samples of at most `seq_len` target tokens. Only the
/// document ends are looked at, so it costs no more for a corpus larger than
/// memory.
class Dataset {
 public:
  /// packing: samples are cut from the documents end to end, all of seq_len
  /// but the last. Without packing no sample crosses a document: lengths
  /// differ, and a document longer than seq_len is cut into several samples.
  Dataset(std::shared_ptr<const Corpus> corpus, int64_t seq_len, bool packing);

  /// A part of another dataset: samples [begin, end), with the same ids.
  Dataset(const Dataset& whole, uint64_t begin, uint64_t end);

  uint64_t size() const {
    return end_ - begin_;
  }
  Sample sample(uint64_t index) const;

  /// Target tokens of sample `index`, without reading it.
  int64_t length(uint64_t index) const;

  /// Index of the (first) longest sample, and its target tokens.
  uint64_t longest() const {
    return longest_;
  }
  int64_t max_length() const {
    return length(longest());
  }

 private:
  struct Span {
    uint64_t begin = 0;
    uint64_t length = 0; // target tokens
  };
  Span span(uint64_t id) const;
  uint64_t find_longest() const;

  std::shared_ptr<const Corpus> corpus_;
  uint64_t seq_len_;
  /// Without packing: samples in documents 0..i. Empty with packing.
  std::shared_ptr<const std::vector<uint64_t>> sample_ends_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  uint64_t longest_ = 0;
};

} // namespace accrue
