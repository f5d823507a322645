// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace accrue::tensor::cuda {

/// Text of one file of tensor/cuda/kernels; `name` is what others include.
struct KernelSource {
  const char* name;
  const char* text;
};

/// Returns the files of tensor/cuda/kernels. kernels.cu, the first, includes
/// the others. cmake/AccrueCudaKernels.cmake generates the definition.
std::span<const KernelSource> kernel_sources();

} // namespace accrue::tensor::cuda
