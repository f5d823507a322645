// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

// Signs that a tensor was written, or was given other memory.

namespace accrue::tensor {

/// Returns the number of writes so far, as LibTorch counts them: all but those
/// through data() and raw pointers. Tensors of inference mode count none.
inline uint32_t version_of(const at::Tensor& tensor) {
  return tensor.defined() && !tensor.is_inference()
      ? static_cast<uint32_t>(tensor._version())
      : 0;
}

/// Counts a write that LibTorch does not see.
inline void count_write(const at::Tensor& tensor) {
  if (!tensor.is_inference()) {
    tensor.unsafeGetTensorImpl()->bump_version();
  }
}

/// Returns where the elements of a tensor start in the memory of its device:
/// tensors that share memory are known by it.
inline const void* address_of(const at::Tensor& tensor) {
  return static_cast<const char*>(tensor.storage().data()) +
      static_cast<size_t>(tensor.storage_offset()) * tensor.element_size();
}

/// Returns whether elements have the same type, places and device.
inline bool same_layout(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.strides() == b.strides() &&
      a.scalar_type() == b.scalar_type() && a.device() == b.device();
}

/// Returns whether `tensor` is where its alias is and was not written since
/// `version`.
inline bool unchanged(
    const at::Tensor& tensor,
    const at::Tensor& alias,
    uint32_t version) {
  return !tensor.is_inference() && tensor._version() == version &&
      address_of(tensor) == address_of(alias) && same_layout(tensor, alias);
}

} // namespace accrue::tensor
