// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/backend.h"

namespace accrue::tensor {

/// Returns the operations on CUDA devices for CPU tensors: kernels run in an
/// emulator, products and attention by LibTorch's operators for CPUs.
const Backend& emulated_cuda_backend();

} // namespace accrue::tensor
