// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "tensor/cuda/launcher.h"
#include "tensor/ops.h"

// Tensors as kernels take them.

namespace accrue::tensor::cuda {

/// Type of strides, counts and indices in kernels.
using Wide = long long;

/// Returns the address of a tensor's first element; nullptr if it is undefined.
inline const void* from(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr() : nullptr;
}
inline void* to(const at::Tensor& x) {
  return x.defined() ? x.mutable_data_ptr() : nullptr;
}

/// Returns the name of a kernel for elements of `type`.
inline std::string kernel_for(const char* name, Type type) {
  return std::string(name) +
      (type == Type::kBf16      ? "_bf16"
           : type == Type::kF64 ? "_f64"
                                : "_f32");
}

/// Whether elements of a row of x are next to each other.
inline bool has_rows(const at::Tensor& x) {
  return x.dim() == 2 && (x.stride(1) == 1 || x.size(1) == 1);
}

/// Whether kernels can take x: fp32 or bf16 rows.
inline bool is_plain(const at::Tensor& x) {
  return has_rows(x) &&
      (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

constexpr unsigned kColumnThreads = 128;
constexpr int64_t kMostBlocksY = 32768; // kernels go on from there

/// Returns a grid with a thread per column and, in y, a block per item.
inline Grid by_column(int64_t width, int64_t items) {
  return {
      static_cast<unsigned>((width + kColumnThreads - 1) / kColumnThreads),
      static_cast<unsigned>(std::min(items, kMostBlocksY)),
      kColumnThreads};
}

/// Returns a grid with a block per row. The number of threads follows from the
/// width alone: sums in a block depend on it.
inline Grid by_row(int64_t rows, int64_t width, unsigned most_threads = 256) {
  const auto warps = static_cast<unsigned>((width + 31) / 32);
  return {static_cast<unsigned>(rows), 1, std::min(warps * 32, most_threads)};
}

} // namespace accrue::tensor::cuda
