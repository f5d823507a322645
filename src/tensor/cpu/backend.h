// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/backend.h"

namespace accrue::tensor {

/// Operations on CPU tensors by kernels of our own (kernels.h), with the same
/// bits however a batch is split (docs/bits.md).
class CpuBackend final : public Backend {
 public:
  const char* name() const override {
    return "cpu";
  }
  Cut cut(Type compute) const override {
    return cut_by_sample(compute, kChunkTokens);
  }
  Type operand_type(Type compute) const override {
    return sum_type(compute); // products round it on the way
  }
  std::shared_ptr<PackedWeight> make_packed_weight() const override;

  void linear(
      const at::Tensor& x,
      const Linear& layer,
      Type compute,
      const at::Tensor& y,
      bool add) const override;
  void linear_input_gradient(
      const at::Tensor& dy,
      const Linear& layer,
      Type compute,
      const at::Tensor& dx,
      bool add) const override;
  void linear_weight_gradient(
      const Chunk& chunk,
      const at::Tensor& x,
      const at::Tensor& dy,
      const Linear& layer,
      Type compute,
      const LinearGradients& gradients) const override;

  at::Tensor norm(
      const Chunk& chunk,
      const at::Tensor& x,
      const Norm& layer,
      const NormStatistics& statistics,
      Type result) const override;
  void norm_backward(
      const Chunk& chunk,
      const at::Tensor& x,
      const at::Tensor& dy,
      const Norm& layer,
      const NormStatistics& statistics,
      const at::Tensor& dx,
      const NormGradients& gradients) const override;

  at::Tensor activate(const at::Tensor& x, Activation activation, bool gated)
      const override;
  at::Tensor activate_backward(
      const at::Tensor& x,
      const at::Tensor& dx,
      Activation activation,
      bool gated) const override;

  RotaryTable rotary_table(
      int64_t positions,
      const at::Tensor& frequencies,
      at::ScalarType dtype) const override;
  void rotate(
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& positions,
      const RotaryTable& table,
      bool inverse) const override;

  void attention(
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp) const override;
  at::Tensor attention_backward(
      const Chunk& chunk,
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp,
      const at::Tensor& dout) const override;

  void apply_dropout(
      const Dropout& dropout,
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& x,
      const at::Tensor& base,
      const at::Tensor& y) const override;

  void embed_backward(
      const at::Tensor& ids,
      const at::Tensor& dy,
      const at::Tensor& gradient) const override;
  void embed_rows_backward(
      const at::Tensor& ids,
      const at::Tensor& dy,
      const at::Tensor& trained,
      const at::Tensor& gradient) const override;

  at::Tensor cross_entropy(
      const Chunk& chunk,
      const at::Tensor& x,
      const Linear& head,
      Type compute,
      const at::Tensor& targets,
      const at::Tensor& weights,
      const at::Tensor& dx,
      const LinearGradients& gradients) const override;
  at::Tensor sum_in_order(const at::Tensor& x) const override;

  std::vector<double> l2_norms(
      const std::vector<at::Tensor>& tensors) const override;
  void adamw(
      const AdamWStep& step,
      const at::Tensor& gradient,
      const at::Tensor& parameter,
      const at::Tensor& average,
      const at::Tensor& square_average) const override;

 private:
  /// Enough for the full speed of a matrix product. More would only cost
  /// memory, most of all in the head.
  static constexpr int64_t kChunkTokens = 1024;
};

} // namespace accrue::tensor
