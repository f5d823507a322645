// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>

// What tells that a tensor was written, or given other memory, since.

namespace accrue::tensor {

/// Gradients that losses of all models have folded while they were computed,
/// not by backward.
inline std::atomic<uint64_t> num_folds{0};

/// Writes so far, as LibTorch counts them: all but those through data() and
/// raw pointers. Tensors of inference mode count none.
inline uint32_t version_of(const at::Tensor& tensor) {
  return tensor.defined() && !tensor.is_inference() ? tensor._version() : 0;
}

/// For a write that LibTorch does not see.
inline void count_write(const at::Tensor& tensor) {
  if (!tensor.is_inference()) {
    tensor.unsafeGetTensorImpl()->bump_version();
  }
}

/// The accumulator of a parameter, zeros at first: its `.grad`, to be added to.
/// Undefined if it is not trained.
at::Tensor gradient_of(const at::Tensor& parameter);

/// The same elements in the same order.
inline bool same_layout(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.strides() == b.strides() &&
      a.scalar_type() == b.scalar_type() && a.device() == b.device();
}

/// `tensor` is where its alias is, and was not written since `version`.
inline bool unchanged(
    const at::Tensor& tensor,
    const at::Tensor& alias,
    uint32_t version) {
  return !tensor.is_inference() && tensor._version() == version &&
      tensor.const_data_ptr() == alias.const_data_ptr() &&
      same_layout(tensor, alias);
}

} // namespace accrue::tensor
