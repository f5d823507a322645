// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <span>

#include "accrue/tensor/types.h"
#include "tensor/attention.h"
#include "tensor/kernels.h"
#include "tensor/stream.h"

// Forward and backward of the parts of a transformer on a stream of tokens: T
// of them, C the width, H and K the query and key/value heads, D the head
// dimension, V the vocabulary. No autograd here: who calls forward calls
// backward. Gradients of parameters are added to sums that the caller gives,
// sample by sample in order (`Chunk`), so that their bits do not depend on how
// a batch is split.
//
// Activations that are kept have the compute type; norms, sums and gradients
// are in its sum type.

namespace accrue::tensor {

/// Of a tensor of fp32, fp64 or bf16.
Type type_of(const at::Tensor& tensor);
at::ScalarType scalar_type(Type type);

at::Tensor empty(Type type, at::IntArrayRef shape);

/// Rows of x [R, C] or a range of its columns as a matrix.
Matrix matrix(const at::Tensor& x);

/// A view of columns [begin, begin + count) of x [R, C].
at::Tensor columns(const at::Tensor& x, int64_t begin, int64_t count);

/// y [R, out] = x [R, in] · W + bias, of the compute type or its sum type;
/// `add`: y, of the sum type, += x · W, without bias.
void linear(
    const at::Tensor& x,
    const Linear& linear,
    Type compute,
    const at::Tensor& y,
    bool add = false);

/// dx [R, in] = dy [R, out] · Wᵀ, of the sum type; `add`: dx += it.
void linear_input_gradient(
    const at::Tensor& dy,
    const Linear& linear,
    Type compute,
    const at::Tensor& dx,
    bool add = false);

/// Adds xᵀ·dy and the sum of dy to the gradients of weight and bias. x and dy
/// are the chunk's rows; dy is of the sum type where there is a bias.
void linear_weight_gradient(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& linear,
    Type compute,
    const LinearGradients& gradients);

/// What the backward of a norm needs: mean and 1/σ [T].
struct NormStatistics {
  at::Tensor mean; // undefined for RMSNorm
  at::Tensor rstd;
};
NormStatistics make_statistics(const Norm& norm, const at::Tensor& x);

/// LayerNorm (arXiv 1607.06450), or RMSNorm (arXiv 1910.07467) without a bias,
/// of the chunk's rows of x [T, C]. Fills their statistics.
/// Difference from transformers' LlamaRMSNorm: fp64 stays fp64.
at::Tensor norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& norm,
    const NormStatistics& statistics);

/// dx [T, C] += the gradient of the chunk's rows, dy [R, C]; adds those of the
/// parameters to `gradients`.
void norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& norm,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients);

/// Of x [R, M] all, of [R, 2M] the last M columns: those beside the gate.
at::Tensor value_columns(const at::Tensor& x, bool gated);

/// f(x) [R, M], or f(gate) · x if x is [R, 2M] with the gate first.
at::Tensor activate(const at::Tensor& x, Activation activation, bool gated);

/// In place: the same values [R, M] once more in the first columns of x, which
/// are returned; dx, shaped as x, holds their gradient (value_columns) and then
/// that of x.
at::Tensor activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated);

/// Cosines and sines [positions, D/2] of rotary embeddings (arXiv 2104.09864)
/// with these frequencies [D/2] in fp32, which is what they are computed in
/// whatever `dtype`, as transformers does; then converted.
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

/// Masks of one step. The mask of a sample is a pure function of (seed, step,
/// sample id, site, element), drawn from Philox; `site` numbers the places of a
/// model that drop.
class Dropout {
 public:
  Dropout(
      const DropoutKey& key,
      std::span<const int64_t> offsets,
      std::span<const uint64_t> sample_ids)
      : key_(key), offsets_(offsets), sample_ids_(sample_ids) {}

  bool active() const {
    return key_.probability > 0;
  }

  /// The chunk's rows: base + mask · x / (1 - p), all [R, C]. `base` may be
  /// undefined. In place: y may be x.
  void apply(
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& x,
      const at::Tensor& base,
      const at::Tensor& y) const;

 private:
  DropoutKey key_;
  std::span<const int64_t> offsets_;
  std::span<const uint64_t> sample_ids_;
};

/// gradient [V, C], rows ids [T] int64, += dy [T, C], in order of the tokens.
void embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient);

/// The same where only the rows `trained` [n] int64 of a table are trained:
/// gradient [n, C].
void embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient);

/// weight · cross-entropy [R] of x [R, C] · headᵀ against the chunk's part of
/// targets [T] int64, weights [T] fp64, in fp64. With `dx` [R, C] also the
/// gradient of x, and adds that of the head to `gradients`. The logits of the
/// chunk exist only in here. Throws DataError for a target outside the
/// vocabulary whose weight is not 0.
at::Tensor cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients);

/// Sum of fp64 x [T] in order of its elements: an fp64 scalar.
at::Tensor sum_in_order(const at::Tensor& x);

/// Euclidean norm in fp64, summed up in a fixed order whatever the number of
/// threads (contiguous fp32 and fp64 on CPU; else LibTorch's).
double l2_norm(const at::Tensor& x);

/// Whether elements of these stand at the same places of CPU memory, all fp32
/// or all fp64.
bool is_plain(std::initializer_list<at::Tensor> tensors);

/// One step on a parameter and its moments; is_plain, together with the
/// gradient.
void adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average);

} // namespace accrue::tensor
