// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "accrue/core/export.h"
#include "accrue/tensor/activation.h" // IWYU pragma: export

namespace accrue::tensor {

/// Key of dropout masks. The split of a batch has no influence on them.
struct DropoutKey {
  double probability = 0;
  uint64_t seed = 0;
  uint64_t step = 0;
};

/// Layout of a weight: [out, in] as in torch::nn::Linear, or [in, out] as in
/// GPT-2's checkpoints.
enum class WeightLayout { kOutIn, kInOut };

/// Copy of a weight in the layout of the kernels, made when it is first used
/// after the weight has changed: once per window.
struct PackedWeight;

/// A low-rank update beside a weight (LoRA, arXiv 2106.09685):
/// y += scale · (x·Aᵀ)·Bᵀ.
struct Adapter {
  at::Tensor a; // [r, in]
  at::Tensor b; // [out, r]
  double scale = 1; // alpha / r
};

/// Rows of a frozen table that are trained: embeddings of new tokens. A pass
/// begins by copying them into the table.
struct TrainedRows {
  at::Tensor ids; // [n] int64, each once
  at::Tensor values; // [n, C]
};

/// A linear layer. Parameters are fp32 or fp64, frozen weights also bf16.
struct Linear {
  at::Tensor weight; // [out, in] or [in, out], as `layout` says
  at::Tensor bias; // [out]; undefined: none
  WeightLayout layout = WeightLayout::kOutIn;
  std::shared_ptr<PackedWeight> packed = nullptr; // nullptr: packed at each use
  std::shared_ptr<const Adapter> adapter = nullptr;
  std::shared_ptr<const TrainedRows> rows = nullptr; // of a weight [out, in]
};

/// Sums to which the gradients of a layer's parameters are added; undefined for
/// parameters that are not trained.
struct LinearGradients {
  at::Tensor weight; // same layout as the parameter
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

/// Returns a layer whose weight is packed once per window.
[[nodiscard]] ACCRUE_API Linear
make_linear(at::Tensor weight, at::Tensor bias, WeightLayout layout);

/// LayerNorm, or RMSNorm without a bias. Parameters are fp32, or fp64.
struct Norm {
  at::Tensor weight; // [C]
  at::Tensor bias; // [C]; undefined: RMSNorm
  double epsilon = 0;
};

/// Sums to which the gradients of a norm's parameters are added.
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
