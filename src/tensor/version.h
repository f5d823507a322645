// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

// How a tensor tells that it was written, or given other memory.

namespace accrue::tensor {

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

/// Start of a tensor's elements in memory: tells which tensors share it.
inline const void* address_of(const at::Tensor& tensor) {
  return static_cast<const char*>(tensor.storage().data()) +
      static_cast<size_t>(tensor.storage_offset()) * tensor.element_size();
}

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
      address_of(tensor) == address_of(alias) && same_layout(tensor, alias);
}

} // namespace accrue::tensor
