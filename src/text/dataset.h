// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/corpus.h"
#include "text/sample_options.h"

namespace accrue {

/// A sequence of tokens for the model: tokens[t + 1] is the target of
/// tokens[t].
struct Sequence {
  uint64_t id = 0; // unique in its dataset
  std::vector<int64_t> tokens; // [length + 1]
  std::vector<uint8_t> loss_mask; // [length] of the targets; empty: all 1

  int64_t length() const {
    return static_cast<int64_t>(tokens.size()) - 1;
  }
};

/// One training sample: a sequence, the parts of documents that are packed
/// together, or the two sequences of a preference pair, the chosen one first.
struct Sample {
  uint64_t id = 0;
  std::vector<Sequence> sequences;

  /// Number of target tokens, trained on or not.
  int64_t length() const;
};

/// Splits a corpus into samples. Only the ends of documents are read, so that a
/// corpus larger than memory costs no more. A conversation or a preference pair
/// is one sample; text is split into samples of at most `seq_len` target
/// tokens.
class Dataset {
 public:
  /// Packed samples have `seq_len` target tokens, except for the last one. With
  /// kDocuments they have one target less for each document that ends in them,
  /// and `seq_len` must be at least 2. Without packing, a document longer than
  /// `seq_len` is split into several samples.
  Dataset(
      std::shared_ptr<const Corpus> corpus,
      int64_t seq_len,
      Packing packing);

  /// Splits the samples into a part for validation and the rest. Ids stay the
  /// same. A sample is for validation if the hash of its tokens is below
  /// `fraction` of all possible hashes; at least one sample is, and at least
  /// one is not. So they come from everywhere in the data, do not depend on the
  /// seed or on other data, and equal samples are in the same part.
  struct Split;
  Split split(
      double fraction,
      const std::function<void(uint64_t done, uint64_t total)>& progress = {})
      const;

  uint64_t size() const {
    return size_;
  }
  Sample sample(uint64_t index) const;

  /// Number of target tokens of sample `index`, without reading it.
  int64_t length(uint64_t index) const;

  /// Index of the longest sample (the first of several), and its number of
  /// target tokens.
  uint64_t longest() const {
    return longest_;
  }
  int64_t max_length() const {
    return length(longest());
  }
  /// Number of samples before a split.
  uint64_t whole_size() const {
    return whole_size_;
  }
  /// Hash of the data and the split. Equal for the same samples wherever their
  /// files are.
  std::string digest() const;
  const Corpus& corpus() const {
    return *corpus_;
  }

 private:
  enum class Part { kWhole, kHeld, kRest };
  struct Span {
    uint64_t begin = 0;
    uint64_t length = 0; // target tokens
  };
  uint64_t id_of(uint64_t index) const;
  Dataset part(Part part, std::shared_ptr<const std::vector<uint64_t>> held)
      const;
  Span span(uint64_t id) const;
  Span document(uint64_t index) const;
  Sequence sequence(const Span& span, uint64_t id) const;
  std::vector<Span> documents_in(const Span& span) const;
  bool is_text() const {
    return corpus_->kind() == ExampleKind::kText;
  }
  bool has_pairs() const {
    return corpus_->kind() == ExampleKind::kPreference;
  }
  uint64_t find_longest() const;

  std::shared_ptr<const Corpus> corpus_;
  uint64_t seq_len_;
  Packing packing_;
  /// Ends of the samples of each document: number of samples in documents 0..i.
  /// Only for text without packing.
  std::shared_ptr<const std::vector<uint64_t>> sample_ends_;
  uint64_t whole_size_ = 0;
  uint64_t size_ = 0;
  uint64_t longest_ = 0;
  Part part_ = Part::kWhole;
  /// Ids of samples for validation, ascending.
  std::shared_ptr<const std::vector<uint64_t>> held_;
};

/// Result of Dataset::split().
struct Dataset::Split {
  Dataset rest;
  Dataset held;
};

/// Several datasets, one after another. Ids continue from one dataset to the
/// next; those of the first stay the same.
class ConcatDataset {
 public:
  explicit ConcatDataset(Dataset single);
  explicit ConcatDataset(std::vector<Dataset> parts);

  const std::vector<Dataset>& parts() const {
    return parts_;
  }
  uint64_t size() const {
    return ends_.back();
  }
  Sample sample(uint64_t index) const;
  /// Number of target tokens of sample `index`, without reading it.
  int64_t length(uint64_t index) const;
  /// Index of the longest sample (the first of several), and its number of
  /// target tokens.
  uint64_t longest() const {
    return longest_;
  }
  int64_t max_length() const {
    return length(longest());
  }
  /// Hash of all parts.
  std::string digest() const;

 private:
  struct Place {
    size_t part = 0;
    uint64_t index = 0; // in the part
  };
  Place place(uint64_t index) const;

  std::vector<Dataset> parts_;
  std::vector<uint64_t> ends_; // number of samples in parts 0..i
  uint64_t longest_ = 0;
};

} // namespace accrue
