// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "accrue/tensor/types.h"
#include "tensor/adamw_step.h"
#include "tensor/dropout.h"
#include "tensor/elements.h"
#include "tensor/heads.h"
#include "tensor/stream.h"
#include "tensor/type.h"

// Forward and backward of the parts of a transformer on a stream of tokens: T
// of them, C the width, H and K the query and key/value heads, D the head
// dimension, V the vocabulary. The caller of a forward also calls its backward:
// autograd has no part in it. Gradients of parameters are added to sums that
// the caller gives; the cpu backend adds them sample by sample in order
// (`Chunk`), so that their bits do not depend on how a batch is split.
//
// Activations that are kept have the compute type; norms, sums and gradients
// have its sum type. The device of the first tensor decides which
// implementation runs (backend.h); all tensors of a call are on that device.

namespace accrue::tensor {

/// Throws DataError for a target that is not in the vocabulary.
[[noreturn]] void fail_target(int64_t target, int64_t vocab);
/// Throws DataError for a position that is not in [0, positions).
[[noreturn]] void fail_position(int64_t position, int64_t positions);

/// Computes y [R, out] = x [R, in] · W + bias, of the compute type or its sum
/// type; `add`: y, of the sum type, += x · W, without bias.
void linear(
    const at::Tensor& x,
    const Linear& layer,
    Type compute,
    const at::Tensor& y,
    bool add = false);

/// Computes dx [R, in] = dy [R, out] · Wᵀ, of the sum type; `add`: adds that to
/// dx.
void linear_input_gradient(
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const at::Tensor& dx,
    bool add = false);

/// Adds xᵀ·dy and the sum of dy to the gradients of weight and bias. x and dy
/// are the chunk's rows; dy is of the sum type where there is a bias.
void linear_weight_gradient(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const LinearGradients& gradients);

/// Whether a norm is LayerNorm rather than RMSNorm.
inline bool is_layer_norm(const Norm& layer) {
  return layer.bias.defined();
}

/// Mean and 1/σ [T] of each row, which the backward of a norm needs.
struct NormStatistics {
  at::Tensor mean; // undefined for RMSNorm
  at::Tensor rstd;
};
NormStatistics make_statistics(const Norm& layer, const at::Tensor& x);

/// Returns LayerNorm (arXiv 1607.06450), or RMSNorm (arXiv 1910.07467) without
/// a bias, of the chunk's rows of x [T, C]. Fills their statistics. Difference
/// from transformers' LlamaRMSNorm: fp64 stays fp64.
at::Tensor norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics,
    Type result);

/// Adds to dx [T, C] the gradient that follows from dy [R, C], in the chunk's
/// rows, and to `gradients` the gradients of the parameters.
void norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& layer,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients);

/// Returns the values of an activation: all of x [R, M], or the last M columns
/// of [R, 2M], where the first ones are the gate.
at::Tensor value_columns(const at::Tensor& x, bool gated);

/// Returns f(x) [R, M], or f(gate) · x if x is [R, 2M] with the gate first.
at::Tensor activate(const at::Tensor& x, Activation activation, bool gated);

/// Computes the result of activate() again into the first M columns of x and
/// returns these. In: dx, shaped as x, has the result's gradient in its
/// value_columns. Out: dx has the gradient of x.
at::Tensor activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated);

/// Returns cosines and sines [positions, D/2] of rotary embeddings (arXiv
/// 2104.09864) for frequencies [D/2] in fp32. The angles are fp32 whatever
/// `dtype`, as in transformers.
RotaryTable rotary_table(
    int64_t positions,
    const at::Tensor& frequencies,
    at::ScalarType dtype);

/// Rotates queries and keys of qkv [R, (H + 2K) · D] in place by each token's
/// position [R] int64 (halves, not pairs, as transformers' rotate_half);
/// `inverse`: by the opposite angles, as its gradient needs. Throws DataError
/// for a position that the table does not have.
void rotate(
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& positions,
    const RotaryTable& table,
    bool inverse);

/// Computes causal attention within each sample of qkv [T, (H + 2K) · D].
/// Writes out [T, H · D] and, for the backward, logsumexp [H, T].
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

/// Adds dy [T, C] to the rows ids [T] int64 of gradient [V, C], in order of the
/// tokens.
void embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient);

/// Adds as embed_backward where only the rows `trained` [n] int64 of a table
/// are trained: gradient [n, C].
void embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient);

/// Returns weight · cross-entropy [R] in fp64 of x [R, C] · headᵀ against the
/// chunk's part of targets [T] int64 and weights [T] fp64. With `dx` [R, C]
/// also computes the gradient of x and adds that of the head to `gradients`.
/// The logits of the chunk exist only in here. Throws DataError for a target
/// outside the vocabulary whose weight is not 0.
at::Tensor cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients);

/// Returns the sum of fp64 x [T], an fp64 scalar. Multiples of 2⁻²⁴ have one
/// sum in any order; for other values the cpu backend adds in order.
at::Tensor sum_in_order(const at::Tensor& x);

/// Returns the Euclidean norms of tensors of one device, summed up in fp64.
std::vector<double> l2_norms(const std::vector<at::Tensor>& tensors);

/// Updates a parameter and its moments, all fp32 or all fp64 and laid out alike
/// without gaps. The gradient may have any floating type and layout.
void adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average);

} // namespace accrue::tensor
