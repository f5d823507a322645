#include "text/dataset.h"

#include <algorithm>
#include <utility>

namespace accrue {
namespace {

uint64_t divide_up(uint64_t a, uint64_t b) {
  return (a + b - 1) / b;
}

} // namespace

Dataset::Dataset(
    std::shared_ptr<const Corpus> corpus,
    int64_t seq_len,
    bool packing)
    : corpus_(std::move(corpus)), seq_len_(static_cast<uint64_t>(seq_len)) {
  if (packing) {
    end_ = divide_up(corpus_->num_tokens() - 1, seq_len_);
    return;
  }
  auto ends = std::make_shared<std::vector<uint64_t>>();
  uint64_t document_begin = 0;
  for (uint64_t i = 0; i < corpus_->num_documents(); ++i) {
    uint64_t document_end = corpus_->document_end(i);
    end_ += divide_up(document_end - document_begin - 1, seq_len_);
    ends->push_back(end_);
    document_begin = document_end;
  }
  sample_ends_ = std::move(ends);
  longest_ = find_longest();
}

Dataset::Dataset(const Dataset& whole, uint64_t begin, uint64_t end)
    : Dataset(whole) {
  begin_ = whole.begin_ + begin;
  end_ = whole.begin_ + end;
  longest_ = find_longest();
}

Dataset::Span Dataset::span(uint64_t id) const {
  uint64_t first = 0; // token the document (or the stream) starts with
  uint64_t last = corpus_->num_tokens();
  uint64_t piece = id;
  if (sample_ends_) {
    auto it = std::upper_bound(sample_ends_->begin(), sample_ends_->end(), id);
    auto document = static_cast<uint64_t>(it - sample_ends_->begin());
    first = document > 0 ? corpus_->document_end(document - 1) : 0;
    last = corpus_->document_end(document);
    piece -= document > 0 ? (*sample_ends_)[document - 1] : 0;
  }
  uint64_t begin = first + piece * seq_len_;
  return {begin, std::min(seq_len_, last - 1 - begin)};
}

Sample Dataset::sample(uint64_t index) const {
  Sample sample;
  sample.id = begin_ + index;
  Span where = span(sample.id);
  sample.tokens = corpus_->tokens(where.begin, where.begin + where.length + 1);
  return sample;
}

int64_t Dataset::length(uint64_t index) const {
  return static_cast<int64_t>(span(begin_ + index).length);
}

uint64_t Dataset::find_longest() const {
  uint64_t longest = 0;
  for (uint64_t i = 1; sample_ends_ && i < size(); ++i) {
    if (length(i) > length(longest)) {
      longest = i;
    }
  }
  return longest; // packed samples are longest first
}

} // namespace accrue
