// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "tensor/ops.h"

namespace accrue::tensor {

/// Base of what a backend keeps of a weight.
struct PackedWeight {
  PackedWeight() = default;
  PackedWeight(const PackedWeight&) = delete;
  PackedWeight& operator=(const PackedWeight&) = delete;
  virtual ~PackedWeight() = default;
};

/// The operations of ops.h, which describes them, for the tensors of some
/// devices.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Name that ACCRUE_BACKEND and `accrue --version` use.
  virtual const char* name() const = 0;
  /// Returns how the tokens of a micro-batch are cut.
  virtual Cut cut(Type compute) const = 0;
  /// Returns the type in which a product reads activations and their
  /// gradients.
  virtual Type operand_type(Type compute) const = 0;
  /// Returns a place for packed copies of a weight; nullptr: none are made.
  virtual std::shared_ptr<PackedWeight> make_packed_weight() const = 0;

  virtual void linear(
      const at::Tensor& x,
      const Linear& layer,
      Type compute,
      const at::Tensor& y,
      bool add) const = 0;
  virtual void linear_input_gradient(
      const at::Tensor& dy,
      const Linear& layer,
      Type compute,
      const at::Tensor& dx,
      bool add) const = 0;
  virtual void linear_weight_gradient(
      const Chunk& chunk,
      const at::Tensor& x,
      const at::Tensor& dy,
      const Linear& layer,
      Type compute,
      const LinearGradients& gradients) const = 0;

  virtual at::Tensor norm(
      const Chunk& chunk,
      const at::Tensor& x,
      const Norm& layer,
      const NormStatistics& statistics,
      Type result) const = 0;
  virtual void norm_backward(
      const Chunk& chunk,
      const at::Tensor& x,
      const at::Tensor& dy,
      const Norm& layer,
      const NormStatistics& statistics,
      const at::Tensor& dx,
      const NormGradients& gradients) const = 0;

  virtual at::Tensor activate(
      const at::Tensor& x,
      Activation activation,
      bool gated) const = 0;
  virtual at::Tensor activate_backward(
      const at::Tensor& x,
      const at::Tensor& dx,
      Activation activation,
      bool gated) const = 0;

  virtual RotaryTable rotary_table(
      int64_t positions,
      const at::Tensor& frequencies,
      at::ScalarType dtype) const = 0;
  virtual void rotate(
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& positions,
      const RotaryTable& table,
      bool inverse) const = 0;

  virtual void attention(
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp) const = 0;
  virtual at::Tensor attention_backward(
      const Chunk& chunk,
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp,
      const at::Tensor& dout) const = 0;

  virtual void apply_dropout(
      const Dropout& dropout,
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& x,
      const at::Tensor& base,
      const at::Tensor& y) const = 0;

  virtual void embed_backward(
      const at::Tensor& ids,
      const at::Tensor& dy,
      const at::Tensor& gradient) const = 0;
  virtual void embed_rows_backward(
      const at::Tensor& ids,
      const at::Tensor& dy,
      const at::Tensor& trained,
      const at::Tensor& gradient) const = 0;

  virtual at::Tensor cross_entropy(
      const Chunk& chunk,
      const at::Tensor& x,
      const Linear& head,
      Type compute,
      const at::Tensor& targets,
      const at::Tensor& weights,
      const at::Tensor& dx,
      const LinearGradients& gradients) const = 0;
  virtual at::Tensor sum_in_order(const at::Tensor& x) const = 0;

  virtual std::vector<double> l2_norms(
      const std::vector<at::Tensor>& tensors) const = 0;
  virtual void adamw(
      const AdamWStep& step,
      const at::Tensor& gradient,
      const at::Tensor& parameter,
      const at::Tensor& average,
      const at::Tensor& square_average) const = 0;
};

/// Returns the kernels of tensor/cpu, for CPU tensors.
const Backend& cpu_backend();

/// Returns operations made of LibTorch's operators, for tensors of any device.
/// Their bits may depend on how a batch is split.
const Backend& portable_backend();

/// Makes a backend for CPU tensors known to ACCRUE_BACKEND, under its name: for
/// tests, before the first tensor.
void register_backend(const Backend& backend);

/// Returns the operations on a CUDA device that is open. The first call makes
/// its kernels.
const Backend& cuda_backend(int index);

/// Returns the backend of a device, or of a tensor's device: cpu for CPU
/// tensors, unless ACCRUE_BACKEND says "portable"; cuda for CUDA tensors;
/// portable for all others.
const Backend& backend_of(const at::Device& device);
const Backend& backend_of(const at::Tensor& tensor);

} // namespace accrue::tensor
