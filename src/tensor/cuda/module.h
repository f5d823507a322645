// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "device/cuda_driver.h"
#include "tensor/cuda/compile.h"
#include "tensor/cuda/launcher.h"

namespace accrue::tensor::cuda {

/// Starts kernels on a device, on LibTorch's current stream. Compiles them if
/// the cache does not have them. All functions throw Error with the driver's
/// text if it refuses.
class ModuleLauncher final : public Launcher {
 public:
  /// `index` is that of a device that is open (device/cuda.h).
  explicit ModuleLauncher(
      int index,
      std::span<const KernelSource> sources = kernel_sources());

  void launch(
      const char* kernel,
      const Grid& grid,
      std::span<const Argument> arguments) const override;

 private:
  struct Kernel {
    device::CudaFunction function = nullptr;
    std::vector<size_t> sizes; // of parameters; empty if the driver can't tell
    bool sizes_known = false;
  };

  const Kernel& find(const char* name) const;
  /// Throws Error unless the arguments have the sizes of the parameters.
  void check_sizes(
      const char* name,
      const Kernel& kernel,
      std::span<const Argument> arguments) const;

  int index_;
  device::CudaContext context_ = nullptr;
  device::CudaModule module_ = nullptr;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Kernel, std::less<>> kernels_; // used so far
};

} // namespace accrue::tensor::cuda
