// SPDX-License-Identifier: Apache-2.0
#include "tensor/portable/backend.h"

namespace accrue::tensor {

const Backend& portable_backend() {
  static const portable::PortableBackend backend{};
  return backend;
}

} // namespace accrue::tensor
