// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tensor/cuda/device_arrays.h"
#include "tensor/cuda/launcher.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::cuda {

/// Operations on tensors of a CUDA device: LibTorch's products and flash
/// attention, kernels of our own (kernels/) for the rest, and the portable
/// operation where neither serves, such as for fp64.
///
/// Rows of a result do not depend on how many rows a call has, and sums over
/// tokens are made grain by grain (docs/devices.md).
class CudaBackend : public portable::PortableBackend {
 public:
  explicit CudaBackend(std::unique_ptr<const Launcher> launcher)
      : launcher_(std::move(launcher)) {}

  const char* name() const override {
    return "cuda";
  }
  Cut cut(Type compute) const override;
  Type operand_type(Type compute) const override {
    return compute;
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

  std::vector<double> l2_norms(
      const std::vector<at::Tensor>& tensors) const override;
  void adamw(
      const AdamWStep& step,
      const at::Tensor& gradient,
      const at::Tensor& parameter,
      const at::Tensor& average,
      const at::Tensor& square_average) const override;

 protected:
  /// Computes c = a · b, or c += a · b, of matrices whose operands have the
  /// same type and whose result has that type or fp32. Sums are made in fp32.
  virtual void multiply(
      const at::Tensor& a,
      const at::Tensor& b,
      const at::Tensor& c,
      bool add) const;
  /// Whether attention on such heads is LibTorch's flash attention.
  virtual bool has_flash_attention(const at::Tensor& qkv, const Heads& heads)
      const;

 private:
  at::Tensor project_down(
      const at::Tensor& x,
      const at::Tensor& b,
      double scale,
      Type compute) const;
  void fold_product(
      const Chunk& chunk,
      const at::Tensor& x,
      const at::Tensor& y,
      const at::Tensor& gradient) const;
  void fold_rows(const Chunk& chunk, const at::Tensor& x, const at::Tensor& sum)
      const;
  void fold_norm(
      const Chunk& chunk,
      const at::Tensor& x,
      const at::Tensor& dy,
      const Norm& layer,
      const NormStatistics& statistics,
      const NormGradients& gradients) const;
  void grain_attention_backward(
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp,
      const at::Tensor& dout,
      const at::Tensor& dqkv) const;

  std::unique_ptr<const Launcher> launcher_;
  mutable DeviceArrays arrays_;
};

} // namespace accrue::tensor::cuda
