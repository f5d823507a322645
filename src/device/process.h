// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// The memory of the process as a whole, from the kernel.

namespace accrue::device {

/// Resident memory of this process in bytes, now and at its highest (VmHWM).
uint64_t resident_bytes();
uint64_t peak_resident_bytes();

/// Bytes that this process could have: free memory of the machine, or of its
/// control group if that is less, and what the process has already.
uint64_t available_bytes();

/// Returns freed heap memory (not tensors) to the system.
void trim_heap();

} // namespace accrue::device
