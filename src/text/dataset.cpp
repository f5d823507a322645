// SPDX-License-Identifier: Apache-2.0
#include "text/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "io/hash.h"

namespace accrue {
namespace {

/// Ids of sequences in a part have at most this number of bits.
constexpr unsigned kPartShift = 48;

uint64_t divide_up(uint64_t a, uint64_t b) {
  return (a + b - 1) / b;
}

uint64_t hash_of(const Sample& sample) {
  io::Xxh64 hash;
  std::vector<int64_t> words;
  for (const Sequence& sequence : sample.sequences) {
    // The lengths count, too: the same tokens may be divided differently into
    // two answers.
    words.push_back(sequence.length());
    words.insert(words.end(), sequence.tokens.begin(), sequence.tokens.end());
  }
  hash.add(std::as_bytes(std::span(words)));
  return hash.finish();
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
    whole_size_ = divide_up(corpus_->num_tokens() - 1, seq_len_);
  } else if (!is_text()) {
    whole_size_ = corpus_->num_documents() / (has_pairs() ? 2 : 1);
  } else {
    auto ends = std::make_shared<std::vector<uint64_t>>();
    for (uint64_t i = 0; i < corpus_->num_documents(); ++i) {
      whole_size_ += divide_up(document(i).length, seq_len_);
      ends->push_back(whole_size_);
    }
    sample_ends_ = std::move(ends);
  }
  size_ = whole_size_;
  longest_ = find_longest();
}

Dataset::Split Dataset::split(
    double fraction,
    const std::function<void(uint64_t, uint64_t)>& progress) const {
  std::vector<uint64_t> hashes(size()); // 53 bits, as a fraction has
  for (uint64_t i = 0; i < size(); ++i) {
    hashes[i] = hash_of(sample(i)) >> 11;
    if (progress) {
      progress(i + 1, size());
    }
  }
  const auto [least, most] = std::ranges::minmax(hashes);
  // The sample with the smallest hash is always held back, the one with the
  // largest never.
  const uint64_t bound = std::max(
      std::min(static_cast<uint64_t>(std::ldexp(fraction, 53)), most),
      least + 1);
  auto held = std::make_shared<std::vector<uint64_t>>();
  for (uint64_t i = 0; i < size(); ++i) {
    if (hashes[i] < bound) {
      held->push_back(id_of(i));
    }
  }
  if (held->size() == size()) { // all samples are equal
    held->resize((size() + 1) / 2);
  }
  return {part(Part::kRest, held), part(Part::kHeld, held)};
}

Dataset Dataset::part(
    Part part,
    std::shared_ptr<const std::vector<uint64_t>> held) const {
  Dataset dataset(*this);
  dataset.size_ =
      part == Part::kHeld ? held->size() : whole_size_ - held->size();
  dataset.part_ = part;
  dataset.held_ = std::move(held);
  dataset.longest_ = dataset.find_longest();
  return dataset;
}

std::string Dataset::digest() const {
  std::string digest = corpus_->digest();
  if (held_) {
    io::Xxh64 hash;
    hash.add(std::as_bytes(std::span(*held_)));
    digest += fmt::format(" split {:016x}", hash.finish());
  }
  return digest;
}

uint64_t Dataset::id_of(uint64_t index) const {
  if (part_ == Part::kHeld) {
    return (*held_)[index];
  }
  if (part_ == Part::kRest) {
    // Before the i-th held sample there are (*held_)[i] - i samples of the
    // rest.
    uint64_t low = 0;
    uint64_t high = held_->size();
    while (low < high) {
      uint64_t middle = (low + high) / 2;
      if ((*held_)[middle] - middle > index) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return index + low;
  }
  return index;
}

Dataset::Span Dataset::document(uint64_t index) const {
  uint64_t begin = index > 0 ? corpus_->document_end(index - 1) : 0;
  return {begin, corpus_->document_end(index) - begin - 1};
}

/// Returns the span of a sample of text.
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

/// Returns the parts of documents in a span. In each part the last token is
/// only a target. Documents have two tokens or more.
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
    sequence.loss_mask = corpus_->loss_mask(span.begin + 1, end);
  }
  return sequence;
}

Sample Dataset::sample(uint64_t index) const {
  Sample sample;
  sample.id = id_of(index);
  if (packing_ == Packing::kDocuments) {
    for (const Span& part : documents_in(span(sample.id))) {
      sample.sequences.push_back(sequence(part, part.begin));
    }
  } else if (is_text()) {
    sample.sequences = {sequence(span(sample.id), sample.id)};
  } else if (has_pairs()) {
    for (uint64_t id : {2 * sample.id, 2 * sample.id + 1}) {
      sample.sequences.push_back(sequence(document(id), id));
    }
  } else {
    sample.sequences = {sequence(document(sample.id), sample.id)};
  }
  return sample;
}

int64_t Dataset::length(uint64_t index) const {
  uint64_t id = id_of(index);
  if (packing_ == Packing::kDocuments) {
    uint64_t length = 0;
    for (const Span& part : documents_in(span(id))) {
      length += part.length;
    }
    return static_cast<int64_t>(length);
  }
  uint64_t length = is_text() ? span(id).length
      : has_pairs() ? document(2 * id).length + document(2 * id + 1).length
                    : document(id).length;
  return static_cast<int64_t>(length);
}

uint64_t Dataset::find_longest() const {
  uint64_t longest = 0;
  if (packing_ == Packing::kOn) {
    return longest; // all samples but the last have the same length
  }
  int64_t most = 0;
  const auto bound = static_cast<int64_t>(seq_len_ * (has_pairs() ? 2 : 1));
  for (uint64_t i = 0; i < size() && most < bound; ++i) {
    if (int64_t length_i = length(i); length_i > most) {
      longest = i;
      most = length_i;
    }
  }
  return longest;
}

ConcatDataset::ConcatDataset(Dataset single)
    : ConcatDataset(std::vector<Dataset>{std::move(single)}) {}

ConcatDataset::ConcatDataset(std::vector<Dataset> parts)
    : parts_(std::move(parts)) {
  int64_t most = 0;
  uint64_t end = 0;
  for (const Dataset& part : parts_) {
    if (part.size() > 0 && part.max_length() > most) {
      most = part.max_length();
      longest_ = end + part.longest();
    }
    end += part.size();
    ends_.push_back(end);
  }
}

std::string ConcatDataset::digest() const {
  std::string digest;
  for (const Dataset& part : parts_) {
    digest += part.digest();
  }
  return digest;
}

ConcatDataset::Place ConcatDataset::place(uint64_t index) const {
  auto part = static_cast<size_t>(
      std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
  return {part, index - (part > 0 ? ends_[part - 1] : 0)};
}

Sample ConcatDataset::sample(uint64_t index) const {
  auto [part, inner] = place(index);
  Sample sample = parts_[part].sample(inner);
  for (size_t i = 0; i < part; ++i) {
    sample.id += parts_[i].whole_size();
  }
  for (Sequence& sequence : sample.sequences) {
    sequence.id |= uint64_t{part} << kPartShift;
  }
  return sample;
}

int64_t ConcatDataset::length(uint64_t index) const {
  auto [part, inner] = place(index);
  return parts_[part].length(inner);
}

} // namespace accrue
