#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "accrue/tensor/activation.h" // IWYU pragma: export

namespace accrue::tensor {

/// What a dropout mask depends on. The split of a batch is not among it.
struct DropoutKey {
  double probability = 0;
  uint64_t seed = 0;
  uint64_t step = 0;
};

/// How a weight is stored: [out, in] as torch::nn::Linear, or [in, out] as
/// GPT-2's checkpoints do.
enum class WeightLayout { kOutIn, kInOut };

/// Weights in the layout of the kernels, made when they are first used after
/// the weight has changed: once per window.
struct PackedWeight;

/// A low-rank update beside a weight (LoRA, arXiv 2106.09685):
/// y += scale · (x·Aᵀ)·Bᵀ.
struct Adapter {
  at::Tensor a; // [r, in]
  at::Tensor b; // [out, r]
  double scale = 1; // alpha / r
};

/// Some rows of a frozen table that are trained: embeddings of new tokens.
/// Whoever runs a pass puts them into the table before.
struct TrainedRows {
  at::Tensor ids; // [n] int64, each once
  at::Tensor values; // [n, C]
};

/// A linear layer. Parameters are fp32, or fp64; frozen weights bf16, too.
struct Linear {
  at::Tensor weight; // [out, in] or [in, out], as `layout` says
  at::Tensor bias; // [out], undefined = none
  WeightLayout layout = WeightLayout::kOutIn;
  std::shared_ptr<PackedWeight> packed = nullptr; // none: packed as it is used
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
Linear make_linear(at::Tensor weight, at::Tensor bias, WeightLayout layout);

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
