// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "device/memory.h"

namespace accrue::device {

/// The most memory that the process may take, in bytes. Part of it is kept
/// free, because the heap is not measured as finely as tensors.
class Budget {
 public:
  explicit Budget(uint64_t total, DeviceMemory& memory = host_memory())
      : total_(total), memory_(memory) {}
  /// Lifts the limit of tensors.
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  /// A share of what is available, for runs that name no budget.
  static uint64_t default_bytes(DeviceMemory& memory = host_memory());

  uint64_t total() const {
    return total_;
  }
  /// Bytes that the program and its tensors may take together.
  uint64_t usable() const;
  /// Whether a peak of the process is within the budget.
  bool fits(uint64_t peak_bytes) const {
    return peak_bytes <= usable();
  }
  /// Budget that a process with this peak needs.
  static uint64_t needed_for(uint64_t peak_bytes);

  /// Limits large tensors to what the budget leaves beside the program, and
  /// returns how much that is. Throws MemoryError if it is nothing.
  uint64_t limit_tensors(uint64_t program_bytes);

  DeviceMemory& memory() const {
    return memory_;
  }

 private:
  uint64_t total_;
  DeviceMemory& memory_;
  bool limited_ = false;
};

} // namespace accrue::device
