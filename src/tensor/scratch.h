#pragma once

#include <cstddef>

namespace accrue::tensor {

/// Memory of the calling thread for one product, aligned to 64 bytes. It is
/// kept, and grows; the next call may give the same. Throws
/// c10::OutOfMemoryError.
void* scratch(size_t bytes);

} // namespace accrue::tensor
