// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "tensor/ops.h"

namespace accrue::tensor::cuda {

/// Returns a matrix [rows, width] whose rows are a multiple of 256 bytes apart.
/// cuBLAS chooses its kernels by the alignment of what it is given, so that a
/// product of some of the rows could otherwise have other bits.
inline at::Tensor pitched(
    Type type,
    int64_t rows,
    int64_t width,
    const at::Tensor& sibling) {
  const auto unit = 256 / static_cast<int64_t>(size_of(type));
  const int64_t pitch = (width + unit - 1) / unit * unit;
  return empty(type, {rows, pitch}, sibling).narrow(1, 0, width);
}

} // namespace accrue::tensor::cuda
