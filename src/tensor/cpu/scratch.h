// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace accrue::tensor {

/// Returns memory of the calling thread for one product, aligned to 64 bytes.
/// The thread keeps the largest block so far, which every call may return, so
/// the memory is valid until the next call. Throws c10::OutOfMemoryError.
void* scratch(size_t bytes);

} // namespace accrue::tensor
