// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/type.h"

namespace accrue::tensor {

/// Consecutive tokens of a micro-batch that are processed together. Sums over
/// tokens are made of parts whose boundaries are counted from the start of each
/// sample, so they do not depend on how the micro-batch is split into chunks.
struct Chunk {
  int64_t begin = 0;
  int64_t end = 0;
  /// Samples [first, last) of this chunk, if it consists of whole ones.
  int64_t first_sample = 0;
  int64_t last_sample = 0;
  /// Ends of the segments of sums in matrix products, relative to `begin`.
  std::vector<int64_t> segments;
  /// Ends of the shorter pieces of sums over rows, relative to `begin`.
  std::vector<int64_t> pieces;

  int64_t size() const {
    return end - begin;
  }
  /// Returns the chunk's rows of x [T, ...], a view; x may be undefined.
  at::Tensor of(const at::Tensor& x) const {
    return x.defined() ? x.narrow(0, begin, size()) : x;
  }
};

/// Splits the samples into chunks of whole samples: as many as fit into
/// `tokens`, at least one. Sample i consists of tokens [offsets[i], offsets[i +
/// 1]).
std::vector<Chunk> sample_chunks(
    std::span<const int64_t> offsets,
    Type compute,
    int64_t tokens);

/// Splits the samples into chunks of whole segments: as many as fit into
/// `tokens`, at least one.
std::vector<Chunk> segment_chunks(
    std::span<const int64_t> offsets,
    Type compute,
    int64_t tokens);

} // namespace accrue::tensor
