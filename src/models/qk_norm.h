// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "models/pass.h"
#include "tensor/stream.h"

namespace accrue {

/// qkv = norm(before), head by head, the chunk's rows. before [T, (H + K) · D]
/// are queries and keys, qkv [T, (H + 2K) · D].
void norm_heads(
    const tensor::Chunk& chunk,
    const at::Tensor& before,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& qkv);

/// Sums of the gradients of both norms.
struct HeadNormGradients {
  tensor::NormGradients query;
  tensor::NormGradients key;
};

/// dqkv [R, (H + 2K) · D], the chunk's rows: in, the gradient of the normed
/// queries and keys; out, that of those before the norms. Adds to `gradients`.
void norm_heads_backward(
    const tensor::Chunk& chunk,
    const at::Tensor& before,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& dqkv,
    const HeadNormGradients& gradients);

} // namespace accrue
