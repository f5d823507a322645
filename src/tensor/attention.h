#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "tensor/stream.h"

// Causal attention on a stream of tokens; names as in ops.h.

namespace accrue::tensor {

/// Shape of attention: qkv is [T, (H + 2K) · D].
struct Heads {
  int64_t queries = 0; // H
  int64_t keys = 0; // K, divides H: arXiv 2305.13245
  int64_t dim = 0; // D

  /// Queries that share a key.
  int64_t group() const {
    return queries / keys;
  }
  int64_t width() const {
    return queries * dim;
  }
  /// Of queries and keys, which positions rotate.
  int64_t rotated_width() const {
    return (queries + keys) * dim;
  }
  int64_t qkv_width() const {
    return (queries + 2 * keys) * dim;
  }
};

/// Causal attention within each sample: qkv -> out [T, H · D], logsumexp
/// [H, T] for the backward. No [T, T] matrix exists (arXiv 2205.14135).
void attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp);

/// Gradient of the chunk's whole samples: dout [R, H · D] -> dqkv [R, …].
at::Tensor attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout);

} // namespace accrue::tensor
