// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

// The memory that tensors take, by device, in the words of torch.cuda.

namespace accrue::device {

/// Memory of one device as this process uses it. All figures are in bytes.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  virtual ~DeviceMemory() = default;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Tensors alive now.
  virtual uint64_t allocated() = 0;
  /// Largest that counts against a budget since the last reset_peak():
  /// allocated() on the host, reserved() on CUDA, where nobody else can have
  /// what is reserved.
  virtual uint64_t max_allocated() = 0;
  virtual void reset_peak() = 0;
  /// Large tensors alive (on CUDA all tensors) and freed blocks kept for reuse
  /// (the cache), some pages of which may never have been touched.
  virtual uint64_t reserved() = 0;
  /// Returns the cache to the system.
  virtual void empty_cache() = 0;
  /// Bytes that this process could have: free memory and its own.
  virtual uint64_t available() = 0;
  /// Bytes that the process takes beside large tensors; on CUDA its context and
  /// kernels. Empties the cache, in order to measure the rest.
  virtual uint64_t program() = 0;
  /// The most that large tensors may take together, on CUDA the most that may
  /// be reserved; nullopt: no limit. A request beyond it throws
  /// c10::OutOfMemoryError.
  virtual void set_limit(std::optional<uint64_t> bytes) = 0;
  /// Waits until the device has done all work: before a clock is read.
  virtual void synchronize() = 0;
};

/// Memory of CPU tensors. Counts only those of an AllocatorScope.
DeviceMemory& host_memory();

/// Memory of a CUDA device. Throws ConfigError if LibTorch's CUDA half is not
/// in this process (open_cuda) or has no such device.
DeviceMemory& cuda_memory(int index);

/// Memory of a device. Throws ConfigError for one that is neither a CPU nor a
/// CUDA device.
DeviceMemory& memory_of(const c10::Device& device);

/// While one lives, LibTorch's CPU tensors come from an allocator that counts,
/// keeps freed blocks for reuse (returning them to the system and faulting them
/// in again costs time), and never reserves more than was in use at once.
/// Tensors may outlive it.
class AllocatorScope {
 public:
  AllocatorScope();
  ~AllocatorScope();
  AllocatorScope(const AllocatorScope&) = delete;
  AllocatorScope& operator=(const AllocatorScope&) = delete;

 private:
  c10::Allocator* previous_;
};

} // namespace accrue::device
