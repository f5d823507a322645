// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstdint>

namespace accrue::testing {

/// Stands in front of LibTorch's CPU allocator as long as it lives and lets one
/// allocation of a tensor fail, as a device does that is out of memory.
class FailingAllocator final : public c10::Allocator {
 public:
  FailingAllocator() : real_(c10::GetCPUAllocator()) {
    c10::SetCPUAllocator(this, kPriority);
  }
  ~FailingAllocator() override {
    c10::SetCPUAllocator(real_, kPriority);
  }
  FailingAllocator(const FailingAllocator&) = delete;
  FailingAllocator& operator=(const FailingAllocator&) = delete;

  /// Allocation number `index` from now (0: the next) fails. Small ones don't
  /// count, of which there are some outside of windows.
  void fail(int64_t index) {
    until_failure_ = index;
  }
  /// Allocations that counted since the last reset.
  int64_t count() const {
    return count_;
  }
  void reset_count() {
    count_ = 0;
  }

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= kSmall) {
      ++count_;
      if (until_failure_.fetch_sub(1) == 0) { // on one thread of many
        TORCH_CHECK_WITH(OutOfMemoryError, false, "made to fail");
      }
    }
    return real_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return real_->raw_deleter();
  }
  void copy_data(void* dest, const void* src, size_t count) const override {
    real_->copy_data(dest, src, count);
  }

 private:
  static constexpr size_t kSmall = 512;
  static constexpr uint8_t kPriority = 2;
  c10::Allocator* real_;
  std::atomic<int64_t> until_failure_ = -1; // < 0: none is to fail
  std::atomic<int64_t> count_ = 0;
};

} // namespace accrue::testing
