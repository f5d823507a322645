#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/kernels.h"

namespace accrue::tensor {

/// Consecutive tokens of a micro-batch that are worked on at once. The parts
/// that sums over tokens are made of are the same in any chunk: they start
/// with the sample.
struct Chunk {
  int64_t begin = 0;
  int64_t end = 0;
  /// Samples that end in this chunk, if it holds whole ones: [first, last).
  int64_t first_sample = 0;
  int64_t last_sample = 0;
  /// Ends of the parts that matrix products sum up, from `begin`.
  std::vector<int64_t> segments;
  /// Ends of the shorter parts that sums of rows are made of, from `begin`.
  std::vector<int64_t> pieces;

  int64_t size() const {
    return end - begin;
  }
  /// Its rows of x [T, ...].
  at::Tensor of(const at::Tensor& x) const {
    return x.defined() ? x.narrow(0, begin, size()) : x;
  }
};

/// Whole samples, as many as fit into `tokens` and at least one.
std::vector<Chunk> sample_chunks(
    std::span<const int64_t> offsets,
    Type compute,
    int64_t tokens);

/// Parts of samples: as many segments as fit into `tokens`.
std::vector<Chunk> segment_chunks(
    std::span<const int64_t> offsets,
    Type compute,
    int64_t tokens);

} // namespace accrue::tensor
