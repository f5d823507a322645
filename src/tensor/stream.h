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
/// sample, or grain, so they do not depend on how the logical batch is split
/// into micro-batches and chunks.
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

/// The samples of a micro-batch, laid end to end.
struct Stream {
  /// Sample i consists of tokens [offsets[i], offsets[i + 1]).
  std::span<const int64_t> offsets;
  /// Ends of grains, in samples; empty: every sample is one. Grains begin where
  /// the logical batch says, whatever the micro-batch.
  std::span<const int64_t> grains = {};
};

/// How a device cuts the tokens of a micro-batch.
struct Cut {
  /// Whether sums over tokens begin anew with each sample; else with each
  /// grain.
  bool by_sample = true;
  /// Most tokens that are processed at once, if that is more than one sample,
  /// or grain.
  int64_t chunk_tokens = 0;
  /// Longest segment of a sum over tokens in a matrix product.
  int64_t segment_tokens = 0;
  /// The same two numbers for the head, whose rows are as wide as the
  /// vocabulary; it is cut into whole segments.
  int64_t head_chunk_tokens = 0;
  int64_t head_segment_tokens = 0;
};

/// Whether sums over tokens are made sample by sample on a device; else grain
/// by grain.
bool sums_by_sample(const at::Device& device);

/// Returns a cut with sums by sample.
Cut cut_by_sample(Type compute, int64_t chunk_tokens);

/// Splits the tokens into chunks of whole samples, or grains.
std::vector<Chunk> sample_chunks(const Stream& stream, const Cut& cut);

/// Splits the tokens into chunks of whole segments of the head.
std::vector<Chunk> head_chunks(const Stream& stream, const Cut& cut);

} // namespace accrue::tensor
