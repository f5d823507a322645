// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <torch/version.h>

#include "accrue/core/error.h"
#include "device/cuda.h"
#include "device/memory.h"

// CUDA devices where LibTorch is too old for them: every function refuses.

namespace accrue::device {
namespace {

[[noreturn]] void refuse() {
  throw ConfigError(fmt::format(
      "[device] a CUDA device needs LibTorch >= 2.11; accrue was built with "
      "{}. Build it with a newer one (ACCRUE_TORCH=/path/to/it), or leave "
      "--device out to train on the CPU.",
      TORCH_VERSION));
}

} // namespace

void open_cuda(int /*index*/) {
  refuse();
}

CudaDevice describe_cuda(int /*index*/) {
  refuse();
}

std::string cuda_versions() {
  refuse();
}

std::optional<uint64_t> free_before_context(int /*index*/) {
  refuse();
}

DeviceMemory& cuda_memory(int /*index*/) {
  refuse();
}

} // namespace accrue::device
