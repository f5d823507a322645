// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "tensor/stream.h"

// Causal attention on a stream of tokens; letters of shapes as in ops.h.

namespace accrue::tensor {

/// Shape of attention: qkv is [T, (H + 2K) · D].
struct Heads {
  int64_t queries = 0; // H
  int64_t keys = 0; // K, divides H: arXiv 2305.13245
  int64_t dim = 0; // D

  /// Number of query heads that share a key/value head.
  int64_t group() const {
    return queries / keys;
  }
  int64_t width() const {
    return queries * dim;
  }
  /// Width of queries and keys, which rotary embeddings rotate.
  int64_t rotated_width() const {
    return (queries + keys) * dim;
  }
  int64_t qkv_width() const {
    return (queries + 2 * keys) * dim;
  }
};

/// Causal attention within each sample of qkv [T, (H + 2K) · D]. Writes out
/// [T, H · D] and, for the backward, logsumexp [H, T]. No [T, T] matrix exists
/// (arXiv 2205.14135).
void attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp);

/// Returns dqkv [R, (H + 2K) · D] from dout [R, H · D], where the chunk has R
/// tokens and consists of whole samples.
at::Tensor attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout);

} // namespace accrue::tensor
