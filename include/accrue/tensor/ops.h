#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

// Differentiable operations on a stream of tokens: the samples of a micro-batch
// laid end to end without padding. T is the number of tokens, C the width, H
// and K the query and key/value heads, D the head dimension, V the vocabulary.
// `offsets` [samples + 1] says where each sample starts; the last one is T.

namespace accrue::tensor {

/// How a weight is stored: [out, in] as torch::nn::Linear, or [in, out] as
/// GPT-2's checkpoints do.
enum class WeightLayout { kOutIn, kInOut };

/// x [T, in] -> [T, out]. `bias` [out] may be undefined. A weight of another
/// dtype than `x` is converted to it.
at::Tensor linear(
    const at::Tensor& x,
    const at::Tensor& weight,
    const at::Tensor& bias,
    WeightLayout layout = WeightLayout::kOutIn);

/// Over the last dimension. arXiv 1607.06450.
at::Tensor layer_norm(
    const at::Tensor& x,
    const at::Tensor& weight,
    const at::Tensor& bias,
    double epsilon);

/// As layer_norm, without mean and bias. arXiv 1910.07467.
/// Difference from transformers' LlamaRMSNorm: fp64 stays fp64.
at::Tensor rms_norm(
    const at::Tensor& x,
    const at::Tensor& weight,
    double epsilon);

/// Cosines and sines [positions, D/2] of rotary embeddings (arXiv 2104.09864).
struct RotaryTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// Computed in fp32 whatever `dtype`, as transformers does, then converted.
RotaryTable rotary_table(
    int64_t positions,
    int64_t head_dim,
    double theta,
    at::ScalarType dtype);

/// Rotates x [T, heads, D] by each token's position [T] (halves, not pairs, as
/// transformers' rotate_half), in the table's dtype.
at::Tensor rotate(
    const at::Tensor& x,
    const at::Tensor& positions,
    const RotaryTable& table);

/// Causal attention within each sample. q [T, H, D], k and v [T, K, D] with K
/// dividing H -> [T, H, D]. arXiv 2305.13245 for grouped queries.
at::Tensor attention(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    std::span<const int64_t> offsets);

/// Σ_t weight_t · cross_entropy(hidden_t · headᵀ, target_t), summed in fp64.
/// hidden [T, C], head [V, C], targets [T] int64, weights [T] -> fp64 scalar.
at::Tensor cross_entropy_sum(
    const at::Tensor& hidden,
    const at::Tensor& head,
    const at::Tensor& targets,
    const at::Tensor& weights);

/// What a dropout mask depends on. The split of a batch is not among it.
struct DropoutKey {
  double probability = 0;
  uint64_t seed = 0;
  uint64_t step = 0;
};

/// Inverted dropout on x [T, C]. The mask of a sample is a pure function of
/// (seed, step, sample id, site, element), drawn from Philox. `site` numbers
/// the places of a model that drop.
at::Tensor dropout(
    const at::Tensor& x,
    std::span<const int64_t> offsets,
    std::span<const uint64_t> sample_ids,
    uint64_t site,
    const DropoutKey& key);

} // namespace accrue::tensor
