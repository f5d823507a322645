// SPDX-License-Identifier: Apache-2.0
#include "device/library.h"

#include <ATen/Context.h>

namespace accrue::device {

std::filesystem::path torch_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&at::globalContext), &info) == 0 ||
      info.dli_fname == nullptr) {
    return {};
  }
  return std::filesystem::path(info.dli_fname).parent_path();
}

bool cuda_is_loaded() {
  return load_library("libtorch_cuda.so", RTLD_NOLOAD) != nullptr;
}

} // namespace accrue::device
