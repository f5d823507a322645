#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/corpus.h"
#include "text/sample_options.h"

namespace accrue {

/// Tokens as the model sees them: tokens[t + 1] is the target of tokens[t].
struct Sequence {
  uint64_t id = 0; // in its dataset
  std::vector<int64_t> tokens; // [length + 1]
  std::vector<uint8_t> trained; // [length] of the targets; empty: all

  int64_t length() const {
    return static_cast<int64_t>(tokens.size()) - 1;
  }
};

/// One training sample: a sequence, the parts of documents that are packed into
/// it, or the two of a preference, chosen first.
struct Sample {
  uint64_t id = 0;
  std::vector<Sequence> sequences;

  /// Target tokens, trained on or not.
  int64_t length() const;
};

/// Cuts a corpus into samples. Only the document ends are looked at, so it
/// costs no more for a corpus larger than memory. An example of chat or a
/// preference is a sample as it is; text is cut into samples of at most
/// `seq_len` target tokens.
class Dataset {
 public:
  /// Packed samples are of seq_len, but the last; those of kDocuments are
  /// shorter by a target for each document that ends in them, and seq_len must
  /// be 2 or more. Without packing a document longer than seq_len is cut into
  /// several samples.
  Dataset(
      std::shared_ptr<const Corpus> corpus,
      int64_t seq_len,
      Packing packing);

  /// What is held back for validation, and the rest, with the ids they have
  /// here: samples whose tokens' hash is below `fraction` of all hashes, but
  /// neither none nor all of them. So they are from everywhere in the data, the
  /// same for every seed and whatever else the data holds, and equal samples
  /// are on one side.
  struct Split;
  Split split(
      double fraction,
      const std::function<void(uint64_t done, uint64_t total)>& progress = {})
      const;

  uint64_t size() const {
    return size_;
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
  /// Size before a split.
  uint64_t whole_size() const {
    return whole_size_;
  }
  /// The same for the same samples wherever their files lie.
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
  bool is_preference() const {
    return corpus_->kind() == ExampleKind::kPreference;
  }
  uint64_t find_longest() const;

  std::shared_ptr<const Corpus> corpus_;
  uint64_t seq_len_;
  Packing packing_;
  /// Text without packing: samples in documents 0..i.
  std::shared_ptr<const std::vector<uint64_t>> sample_ends_;
  uint64_t whole_size_ = 0;
  uint64_t size_ = 0;
  uint64_t longest_ = 0;
  Part part_ = Part::kWhole;
  std::shared_ptr<const std::vector<uint64_t>> held_; // ids, in order
};

struct Dataset::Split {
  Dataset rest;
  Dataset held;
};

/// Datasets one after another, as one. Ids go on from one to the next, so those
/// of the first are its own.
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
  /// Target tokens of sample `index`, without reading it.
  int64_t length(uint64_t index) const;
  /// Index of the (first) longest sample, and its target tokens.
  uint64_t longest() const {
    return longest_;
  }
  int64_t max_length() const {
    return length(longest());
  }
  /// Of all parts.
  std::string digest() const;

 private:
  struct Place {
    size_t part = 0;
    uint64_t index = 0; // in the part
  };
  Place place(uint64_t index) const;

  std::vector<Dataset> parts_;
  std::vector<uint64_t> ends_; // samples in parts 0..i
  uint64_t longest_ = 0;
};

} // namespace accrue
