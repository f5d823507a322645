// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/scratch.h"

#include <cstdlib>
#include <memory>

// Stands in for src/tensor/cpu/scratch.cpp, whose error is LibTorch's, where
// there is no LibTorch (./dev test-arm).

namespace accrue::tensor {

void* scratch(size_t bytes) {
  struct Free {
    void operator()(void* data) const {
      std::free(data);
    }
  };
  static thread_local std::unique_ptr<void, Free> memory;
  memory.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  return memory.get();
}

} // namespace accrue::tensor
