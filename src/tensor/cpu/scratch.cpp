// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/scratch.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <memory>

namespace accrue::tensor {
namespace {

constexpr size_t kAlignment = 64;

struct Free {
  void operator()(void* data) const {
    std::free(data);
  }
};

} // namespace

void* scratch(size_t bytes) {
  static thread_local std::unique_ptr<void, Free> memory;
  static thread_local size_t size = 0;
  if (size < bytes) {
    memory.reset();
    size = 0;
    size_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    memory.reset(std::aligned_alloc(kAlignment, whole));
    TORCH_CHECK_WITH(
        OutOfMemoryError,
        memory != nullptr,
        "[memory] a matrix product needs ",
        whole,
        " bytes; the system gives no more.");
    size = whole;
  }
  return memory.get();
}

} // namespace accrue::tensor
