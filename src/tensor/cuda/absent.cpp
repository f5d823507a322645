// SPDX-License-Identifier: Apache-2.0
#include "tensor/backend.h"

namespace accrue::tensor {

/// LibTorch is too old for the operations of this folder.
const Backend& cuda_backend(int /*index*/) {
  return portable_backend();
}

} // namespace accrue::tensor
