#pragma once

#include <cstdint>
#include <optional>

// What memory is in use: tensors, through an allocator of ours that LibTorch's
// CPU tensors are taken from, and the process, from the kernel.

namespace accrue::memory {

/// Puts our allocator behind LibTorch's CPU tensors. Call once, before the
/// first tensor; only tensors made afterwards count. It counts, keeps freed
/// blocks for reuse (returning them to the system and faulting them in again
/// costs time), and never holds more than was in use at once. Again: no effect.
void install_allocator();

/// The most bytes that large tensors may take together; nullopt: no limit. A
/// request beyond it throws c10::OutOfMemoryError, the error of a device that
/// is out of memory.
void set_limit(std::optional<uint64_t> bytes);

/// Gives freed blocks back to the system.
void release_kept();

/// Bytes of the tensors alive now.
uint64_t live_bytes();

/// Largest live_bytes() since the last reset_peak().
uint64_t peak_bytes();
void reset_peak();

/// Bytes of large tensors alive, and of blocks kept for reuse, of which some
/// pages may never have been touched.
uint64_t held_bytes();

/// Resident memory of this process, now and at its highest (VmHWM).
uint64_t resident_bytes();
uint64_t peak_resident_bytes();

/// Memory that this process could have: what is free on the machine or in its
/// control group, if that is less, and what it has already.
uint64_t available_bytes();

/// Gives what the program has freed beside its tensors back to the system.
void trim();

} // namespace accrue::memory
