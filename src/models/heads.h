// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "models/blocks.h"
#include "tensor/stream.h"

// Attention head by head: norms of queries and keys, and the cache of keys and
// values.

namespace accrue {

/// qkv = norm(raw), head by head, the chunk's rows. raw [T, (H + K) · D] are
/// queries and keys, qkv [T, (H + 2K) · D].
void norm_heads(
    const tensor::Chunk& chunk,
    const at::Tensor& raw,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& qkv);

/// Sums of the gradients of both norms.
struct HeadNormGradients {
  tensor::NormGradients query;
  tensor::NormGradients key;
};

/// dqkv [R, (H + 2K) · D], the chunk's rows: in, the gradient of the normed
/// queries and keys; out, that of the raw ones. Adds to `gradients`.
void norm_heads_backward(
    const tensor::Chunk& chunk,
    const at::Tensor& raw,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& dqkv,
    const HeadNormGradients& gradients);

/// Appends keys and values of the new tokens to the cache.
void remember(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    KeyValueCache& cache);

/// Attention of one new token to everything before it and itself.
void attend(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    const KeyValueCache& cache,
    const at::Tensor& out);

} // namespace accrue
