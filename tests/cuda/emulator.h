// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/cuda/launcher.h"

// Runs kernels of CUDA on the CPU, one block after the other. Threads of a
// block are fibers that run until a barrier. Sources of kernels that are
// compiled as C++ include this header first.

namespace accrue::tensor::cuda::emulator {

/// A kernel, with the bytes of each parameter.
struct Kernel {
  std::vector<size_t> sizes;
  std::function<void(std::span<const Argument>)> call;
};

/// Returns a copy of an argument. Its type there may be another one with the
/// same bytes, such as int64_t for long long.
template <class T>
T value_of(const Argument& argument) {
  T value;
  std::memcpy(&value, argument.address, sizeof value);
  return value;
}

template <class... Parameters>
Kernel kernel(void (*function)(Parameters...)) {
  return {
      {sizeof(Parameters)...}, [function](std::span<const Argument> arguments) {
        [&]<size_t... i>(std::index_sequence<i...>) {
          function(value_of<Parameters>(arguments[i])...);
        }
        (std::index_sequence_for<Parameters...>());
      }};
}

using Table = std::map<std::string, Kernel>;

/// Returns the kernels of tensor/cuda/kernels.
const Table& all_kernels();

/// Order in which the warps of a block, and their threads, run, each until it
/// has to wait. Where results differ, a kernel lacks a barrier.
enum class Order { kForward, kBackward };

class Emulator : public Launcher {
 public:
  explicit Emulator(
      const Table& kernels = all_kernels(),
      Order order = Order::kForward)
      : kernels_(kernels), order_(order) {}

  /// Runs a kernel. Also throws Error if the number or the sizes of arguments
  /// are not the kernel's, and if threads wait for others that have ended.
  void launch(
      const char* kernel,
      const Grid& grid,
      std::span<const Argument> arguments) const override;

 private:
  const Table& kernels_;
  Order order_;
};

/// Threads that wait for each other.
enum class Scope { kWarp, kBlock };

/// Lets other threads run until all of the scope have come here.
void wait_for(Scope scope);

/// Gives a value to the threads of this one's warp, and returns the value of
/// thread `lane` of the warp, bits of it in the low bytes.
uint64_t exchange(uint64_t value, unsigned lane);

/// Number of this thread in its warp.
unsigned lane();

/// Values of CUDA's variables of the same names.
struct Index {
  unsigned x = 0;
  unsigned y = 0;
};
inline Index current_thread;
inline Index current_block;
inline Index block_size;
inline Index grid_size;

} // namespace accrue::tensor::cuda::emulator

// CUDA's names, as far as the kernels use them.

#define __global__
#define __device__
#define __shared__ static // one block runs at a time

#define threadIdx accrue::tensor::cuda::emulator::current_thread
#define blockIdx accrue::tensor::cuda::emulator::current_block
#define blockDim accrue::tensor::cuda::emulator::block_size
#define gridDim accrue::tensor::cuda::emulator::grid_size

inline void __syncthreads() {
  using namespace accrue::tensor::cuda::emulator;
  wait_for(Scope::kBlock);
}

template <class T>
T __shfl_xor_sync(unsigned /*mask*/, T value, int lane_mask) {
  using namespace accrue::tensor::cuda::emulator;
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, lane() ^ static_cast<unsigned>(lane_mask));
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
