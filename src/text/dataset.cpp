#include "text/dataset.h"

#include <algorithm>
#include <utility>

namespace accrue {
namespace {

uint64_t divide_up(uint64_t a, uint64_t b) {
  return (a + b - 1) / b;
}

} // namespace

int64_t Sample::length() const {
  int64_t length = 0;
  for (const Sequence& sequence : sequences) {
    length += sequence.length();
  }
  return length;
}

Dataset::Dataset(
    std::shared_ptr<const Corpus> corpus,
    int64_t seq_len,
    Packing packing)
    : corpus_(std::move(corpus)),
      seq_len_(static_cast<uint64_t>(seq_len)),
      packing_(is_text() ? packing : Packing::kOff) {
  if (packing_ != Packing::kOff) {
    end_ = divide_up(corpus_->num_tokens() - 1, seq_len_);
    longest_ = find_longest();
    return;
  }
  if (!is_text()) {
    end_ = corpus_->num_documents() / (is_preference() ? 2 : 1);
    longest_ = find_longest();
    return;
  }
  auto ends = std::make_shared<std::vector<uint64_t>>();
  for (uint64_t i = 0; i < corpus_->num_documents(); ++i) {
    end_ += divide_up(document(i).length, seq_len_);
    ends->push_back(end_);
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

Dataset::Span Dataset::document(uint64_t index) const {
  uint64_t begin = index > 0 ? corpus_->document_end(index - 1) : 0;
  return {begin, corpus_->document_end(index) - begin - 1};
}

/// Of text.
Dataset::Span Dataset::span(uint64_t id) const {
  Span whole{0, corpus_->num_tokens() - 1};
  uint64_t piece = id;
  if (sample_ends_) {
    auto it = std::upper_bound(sample_ends_->begin(), sample_ends_->end(), id);
    auto index = static_cast<uint64_t>(it - sample_ends_->begin());
    whole = document(index);
    piece -= index > 0 ? (*sample_ends_)[index - 1] : 0;
  }
  uint64_t skipped = piece * seq_len_;
  return {whole.begin + skipped, std::min(seq_len_, whole.length - skipped)};
}

/// The parts of documents in a span, each with the token after it as its last
/// target. Documents have two tokens or more.
std::vector<Dataset::Span> Dataset::documents_in(const Span& span) const {
  uint64_t low = 0; // the first document that ends after the span begins
  uint64_t high = corpus_->num_documents();
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    if (corpus_->document_end(middle) > span.begin) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  std::vector<Span> parts;
  const uint64_t end = span.begin + span.length + 1;
  for (uint64_t begin = span.begin; begin < end; ++low) {
    uint64_t stop = std::min(corpus_->document_end(low), end);
    if (stop - begin > 1) {
      parts.push_back({begin, stop - begin - 1});
    }
    begin = stop;
  }
  return parts;
}

Sequence Dataset::sequence(const Span& span, uint64_t id) const {
  uint64_t end = span.begin + span.length + 1;
  Sequence sequence{id, corpus_->tokens(span.begin, end), {}};
  if (!is_text()) {
    sequence.trained = corpus_->trained(span.begin + 1, end);
  }
  return sequence;
}

Sample Dataset::sample(uint64_t index) const {
  Sample sample;
  sample.id = begin_ + index;
  if (packing_ == Packing::kDocuments) {
    for (const Span& part : documents_in(span(sample.id))) {
      sample.sequences.push_back(sequence(part, part.begin));
    }
  } else if (is_text()) {
    sample.sequences = {sequence(span(sample.id), sample.id)};
  } else if (is_preference()) {
    for (uint64_t id : {2 * sample.id, 2 * sample.id + 1}) {
      sample.sequences.push_back(sequence(document(id), id));
    }
  } else {
    sample.sequences = {sequence(document(sample.id), sample.id)};
  }
  return sample;
}

int64_t Dataset::length(uint64_t index) const {
  uint64_t id = begin_ + index;
  if (packing_ == Packing::kDocuments) {
    uint64_t length = 0;
    for (const Span& part : documents_in(span(id))) {
      length += part.length;
    }
    return static_cast<int64_t>(length);
  }
  uint64_t length = is_text() ? span(id).length
      : is_preference() ? document(2 * id).length + document(2 * id + 1).length
                        : document(id).length;
  return static_cast<int64_t>(length);
}

uint64_t Dataset::find_longest() const {
  uint64_t longest = 0;
  if (packing_ == Packing::kOn) {
    return longest; // all but the last are of one length
  }
  int64_t most = 0;
  for (uint64_t i = 0; i < size() && most < static_cast<int64_t>(seq_len_);
       ++i) {
    if (int64_t length_i = length(i); length_i > most) {
      longest = i;
      most = length_i;
    }
  }
  return longest;
}

} // namespace accrue
