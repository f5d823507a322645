// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "tensor/cuda/kernel_sources.h"

// From the text of kernels to what a device loads. Needs NVRTC, no driver.

namespace accrue::tensor::cuda {

/// Compute capability: 9.0 of Hopper.
struct Architecture {
  int major = 0;
  int minor = 0;
};

/// Compiles the first source, which may include the others by name, to a cubin,
/// a device's program. Throws Error with the compiler's messages.
std::string compile_kernels(
    std::span<const KernelSource> sources,
    const Architecture& architecture);

/// Folder of compiled kernels: $XDG_CACHE_HOME/accrue/kernels, by default
/// ~/.cache/accrue/kernels; empty if neither variable is set.
std::filesystem::path kernel_cache();

/// Returns compile_kernels(), or what an earlier call left in `cache` for the
/// same sources, options, architecture and version of NVRTC. A file that is
/// damaged is written again; one that can't be written is no error.
std::string cached_kernels(
    std::span<const KernelSource> sources,
    const Architecture& architecture,
    const std::filesystem::path& cache = kernel_cache());

} // namespace accrue::tensor::cuda
