// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/backend.h"

namespace accrue::tensor {

const Backend& cpu_backend() {
  static const CpuBackend backend{};
  return backend;
}

} // namespace accrue::tensor
