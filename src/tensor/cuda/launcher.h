// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace accrue::tensor::cuda {

/// Number of blocks in x and y, and of threads in a block.
struct Grid {
  unsigned x = 1;
  unsigned y = 1;
  unsigned threads = 1;
};

/// Place of an argument's value, and its bytes.
struct Argument {
  void* address;
  size_t size;
};

/// Starts kernels of tensor/cuda/kernels by name.
class Launcher {
 public:
  Launcher() = default;
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
  virtual ~Launcher() = default;

  /// Starts a kernel. Addresses of arguments are those that cuLaunchKernel
  /// takes. Throws Error for an unknown kernel.
  virtual void launch(
      const char* kernel,
      const Grid& grid,
      std::span<const Argument> arguments) const = 0;
};

/// Starts a kernel with these arguments. Their types are those of the kernel's
/// parameters.
template <class... Arguments>
void launch(
    const Launcher& launcher,
    const char* kernel,
    const Grid& grid,
    Arguments... arguments) {
  const std::array<Argument, sizeof...(arguments)> list = {
      Argument{&arguments, sizeof arguments}...};
  launcher.launch(kernel, grid, list);
}

} // namespace accrue::tensor::cuda
