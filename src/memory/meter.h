#pragma once

#include <cstdint>

// What memory is in use: tensors, through an allocator of ours that LibTorch's
// CPU tensors are taken from, and the process, from the kernel.

namespace accrue::memory {

/// Puts the counting allocator behind LibTorch's CPU tensors. Call once,
/// before the first tensor; only tensors made afterwards count.
void install_meter();

/// Bytes of the tensors alive now.
uint64_t live_bytes();

/// Largest live_bytes() since the last reset_peak().
uint64_t peak_bytes();
void reset_peak();

/// Resident memory of this process, now and at its highest (VmHWM).
uint64_t resident_bytes();
uint64_t peak_resident_bytes();

/// Sets the kernel's high-water mark back to the present, where it lets us.
void reset_peak_resident();

/// Memory that this process may use: the machine's or its cgroup's limit.
uint64_t machine_bytes();

} // namespace accrue::memory
