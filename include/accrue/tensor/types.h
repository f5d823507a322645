// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "accrue/core/export.h"
#include "accrue/tensor/activation.h" // IWYU pragma: export

namespace accrue::tensor {

/// Key of a dropout mask. The mask does not depend on the split of a batch.
struct DropoutKey {
  double probability = 0;
  uint64_t seed = 0;
  uint64_t step = 0;
};

/// Memory layout of a weight: [out, in] as in torch::nn::Linear, or [in, out]
/// as in GPT-2's checkpoints.
enum class WeightLayout { kOutIn, kInOut };

/// A weight in the layout of the kernels, made at the first use after the
/// weight has changed: once per window.
struct PackedWeight;

/// A low-rank update beside a weight (LoRA, arXiv 2106.09685):
/// y += scale · (x·Aᵀ)·Bᵀ.
struct Adapter {
  at::Tensor a; // [r, in]
  at::Tensor b; // [out, r]
  double scale = 1; // alpha / r
};

/// Rows of a frozen table that are trained, such as embeddings of new tokens.
/// Before a pass they must be copied into the table.
struct TrainedRows {
  at::Tensor ids; // [n] int64, each once
  at::Tensor values; // [n, C]
};

/// A linear layer. Parameters are fp32, or fp64; frozen weights bf16, too.
struct Linear {
  at::Tensor weight; // [out, in] or [in, out], as `layout` says
  at::Tensor bias; // [out], undefined = none
  WeightLayout layout = WeightLayout::kOutIn;
  std::shared_ptr<PackedWeight> packed = nullptr; // if none: packed at each use
  std::shared_ptr<const Adapter> adapter = nullptr;
  std::shared_ptr<const TrainedRows> rows = nullptr; // kOutIn: of the weight
};

/// Sums that the gradients of a layer's parameters are added to; undefined for
/// parameters that are not trained.
struct LinearGradients {
  at::Tensor weight; // as the parameters are laid out
  at::Tensor bias;
  at::Tensor adapter_a;
  at::Tensor adapter_b;
  at::Tensor rows;
};

inline int64_t in_width(const Linear& linear) {
  return linear.weight.size(linear.layout == WeightLayout::kInOut ? 0 : 1);
}
inline int64_t out_width(const Linear& linear) {
  return linear.weight.size(linear.layout == WeightLayout::kInOut ? 1 : 0);
}

/// A layer whose weight is packed once per window.
[[nodiscard]] ACCRUE_API Linear
make_linear(at::Tensor weight, at::Tensor bias, WeightLayout layout);

/// LayerNorm, or RMSNorm without a bias. Parameters are fp32, or fp64.
struct Norm {
  at::Tensor weight; // [C]
  at::Tensor bias; // [C], undefined = RMSNorm
  double epsilon = 0;
};

struct NormGradients {
  at::Tensor weight;
  at::Tensor bias;
};

/// Cosines and sines of rotary embeddings, fp32 or fp64.
struct RotaryTable {
  at::Tensor cos; // [positions, D/2]
  at::Tensor sin; // [positions, D/2]
};

} // namespace accrue::tensor
