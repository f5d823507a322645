// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "accrue/core/export.h"

// Micro-batches are cut from the global batch by arithmetic, never by counting
// modulo N: the last one is simply shorter.

namespace accrue {

/// Half-open range of positions in a global batch.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const {
    return end - begin;
  }
  bool operator==(const Range&) const = default;
};

/// Cuts [0, num_samples) into consecutive ranges of `micro_batch` samples.
/// Throws ConfigError unless micro_batch > 0.
[[nodiscard]] ACCRUE_API std::vector<Range> split_range(
    int64_t num_samples,
    int64_t micro_batch);

/// Number of ranges that split_range() returns: the accumulation steps N.
[[nodiscard]] constexpr int64_t num_micro_batches(
    int64_t num_samples,
    int64_t micro_batch) {
  return (num_samples + micro_batch - 1) / micro_batch;
}

/// Cuts samples of the given lengths into consecutive ranges of at most
/// `max_tokens` tokens and `max_samples` samples; a longer sample stands alone.
/// Throws ConfigError unless both limits are > 0.
[[nodiscard]] ACCRUE_API std::vector<Range> split_by_tokens(
    std::span<const int64_t> lengths,
    int64_t max_tokens,
    int64_t max_samples = std::numeric_limits<int64_t>::max());

/// Samples in a batch, and a view of some of them. A batch is a std::vector of
/// samples, a tensor with samples along dimension 0, or anything with such
/// `data` and `target` tensors, such as torch::data::Example<>.
template <class Sample>
[[nodiscard]] int64_t num_samples(const std::vector<Sample>& batch) {
  return static_cast<int64_t>(batch.size());
}

template <class Sample>
[[nodiscard]] std::span<const Sample> slice(
    const std::vector<Sample>& batch,
    Range range) {
  return std::span(batch).subspan(
      static_cast<size_t>(range.begin), static_cast<size_t>(range.size()));
}

template <class Tensor>
requires requires(const Tensor& t) {
  t.narrow(0, 0, 1);
}
[[nodiscard]] int64_t num_samples(const Tensor& batch) {
  return batch.size(0);
}

template <class Tensor>
requires requires(const Tensor& t) {
  t.narrow(0, 0, 1);
}
[[nodiscard]] Tensor slice(const Tensor& batch, Range range) {
  return batch.narrow(0, range.begin, range.size());
}

template <class Example>
requires requires(const Example& e) {
  e.data.narrow(0, 0, 1);
  e.target.narrow(0, 0, 1);
}
[[nodiscard]] int64_t num_samples(const Example& batch) {
  return batch.data.size(0);
}

template <class Example>
requires requires(const Example& e) {
  e.data.narrow(0, 0, 1);
  e.target.narrow(0, 0, 1);
}
[[nodiscard]] Example slice(const Example& batch, Range range) {
  return {slice(batch.data, range), slice(batch.target, range)};
}

/// The micro-batches of a batch, as views.
template <class Batch>
[[nodiscard]] auto split(const Batch& batch, int64_t micro_batch) {
  std::vector<decltype(slice(batch, Range{}))> parts;
  for (Range range : split_range(num_samples(batch), micro_batch)) {
    parts.push_back(slice(batch, range));
  }
  return parts;
}

} // namespace accrue
