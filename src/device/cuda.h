// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

// CUDA devices. The program links LibTorch's CPU half only; a run on a CUDA
// device loads the other half while it starts.

namespace accrue::device {

/// Makes a CUDA device usable, and the current one of this thread: loads
/// LibTorch's CUDA half and switches it to results that repeat (docs/bits.md).
/// Must come before anything asks LibTorch about CUDA, which remembers the
/// answer. Does nothing for a device that is open already. Throws ConfigError
/// if there is no such device, no driver, if the device is older than Ampere,
/// or if LibTorch is a CPU build or too old.
void open_cuda(int index);

/// A device as the driver describes it.
struct CudaDevice {
  std::string name; // "NVIDIA H100 80GB HBM3"
  int major = 0; // compute capability
  int minor = 0;
  int multiprocessors = 0;
  uint64_t total_bytes = 0;
  std::string driver; // "580.65.06 (CUDA 13.0)" or "CUDA 13.0"
};

/// Describes a device, which need not be open. Throws as open_cuda.
CudaDevice describe_cuda(int index);

/// Versions that decide results: "LibTorch 2.13.0, CUDA 13.0, cuBLAS 13.1.1,
/// NVRTC 13.0, driver 580.65.06 (CUDA 13.0)". Call after open_cuda.
std::string cuda_versions();

/// Bytes that were free on the device before this process made its context
/// there; nullopt if that was not measured.
std::optional<uint64_t> free_before_context(int index);

} // namespace accrue::device
