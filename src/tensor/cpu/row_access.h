// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "tensor/cpu/gemm.h"
#include "tensor/ops.h"

// Ways from tensors to the memory that kernels work on.

namespace accrue::tensor {

/// Returns CPU memory that is not initialised.
inline at::Tensor empty(Type type, at::IntArrayRef shape) {
  return at::empty(shape, at::TensorOptions().dtype(scalar_type(type)));
}

/// Returns the address of row `i` of x.
inline const void* row_of(const at::Tensor& x, int64_t i) {
  return static_cast<const char*>(x.const_data_ptr()) +
      static_cast<size_t>(i * x.stride(0)) * x.element_size();
}
inline void* mutable_row_of(const at::Tensor& x, int64_t i) {
  return static_cast<char*>(x.mutable_data_ptr()) +
      static_cast<size_t>(i * x.stride(0)) * x.element_size();
}

/// Returns the rows of x [R, C], or of a range of its columns, as a matrix.
inline Matrix matrix(const at::Tensor& x) {
  return {x.const_data_ptr(), type_of(x), x.stride(0), x.stride(1)};
}
/// Returns the same as a matrix to be written.
inline MutableMatrix mutable_matrix(const at::Tensor& x) {
  return {x.mutable_data_ptr(), type_of(x), x.stride(0)};
}

} // namespace accrue::tensor
