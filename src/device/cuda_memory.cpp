// SPDX-License-Identifier: Apache-2.0
#include <ATen/DeviceAccelerator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>

#include "accrue/core/error.h"
#include "device/cuda.h"
#include "device/cuda_driver.h"
#include "device/library.h"
#include "device/memory.h"
#include "device/nvml.h"

namespace accrue::device {
namespace {

/// First virtual functions of c10::cuda::CUDACachingAllocator::CUDAAllocator,
/// in their order: the limit of reserved memory can be changed by no other way
/// while the program runs, and LibTorch's header needs CUDA's. Equal in
/// LibTorch 2.11 to 2.14; cmake/AccrueCuda.cmake compares them with the header
/// of the LibTorch in use, and ACCRUE_CUDA_LIMIT says whether they agree.
class CudaAllocator : public c10::DeviceAllocator {
 public:
  virtual void* raw_alloc(size_t bytes) = 0;
  virtual void* raw_alloc_with_stream(size_t bytes, CudaStream stream) = 0;
  virtual void raw_delete(void* data) = 0;
  virtual void init(int device_count) = 0;
  virtual double getMemoryFraction(c10::DeviceIndex device) = 0;
  virtual void setMemoryFraction(double fraction, c10::DeviceIndex device) = 0;
};

/// Bytes by which the allocator may pass its limit: it maps memory in pieces of
/// 20 MiB, but compares the size of the request.
constexpr uint64_t kPieceBytes = uint64_t{20} << 20;

class CudaMemory final : public DeviceMemory {
 public:
  explicit CudaMemory(int index)
      : index_(static_cast<c10::DeviceIndex>(index)),
        total_(describe_cuda(index).total_bytes),
        free_before_(free_before_context(index)) {
    if constexpr (ACCRUE_CUDA_LIMIT) {
      users_fraction_ = known_allocator().getMemoryFraction(index_);
    }
  }

  uint64_t allocated() override {
    return static_cast<uint64_t>(stats().allocated_bytes[0].current);
  }
  uint64_t max_allocated() override {
    return static_cast<uint64_t>(stats().reserved_bytes[0].peak);
  }
  void reset_peak() override {
    allocator().resetPeakStats(index_);
  }
  uint64_t reserved() override {
    return static_cast<uint64_t>(stats().reserved_bytes[0].current);
  }
  void empty_cache() override {
    allocator().emptyCache();
  }
  uint64_t available() override {
    return std::min(total_, free_bytes() + reserved() + context_bytes());
  }
  uint64_t program() override {
    synchronize();
    empty_cache();
    return context_bytes();
  }
  void set_limit(std::optional<uint64_t> bytes) override;
  void synchronize() override {
    at::accelerator::synchronizeDevice(index_);
  }

 private:
  static c10::DeviceAllocator& allocator() {
    return *c10::getDeviceAllocator(c10::DeviceType::CUDA);
  }
  static CudaAllocator& known_allocator() {
    return static_cast<CudaAllocator&>(allocator());
  }
  c10::CachingDeviceAllocator::DeviceStats stats() const {
    return allocator().getDeviceStats(index_);
  }

  /// Free bytes, by the same source as before the context was made.
  uint64_t free_bytes() const {
    if (free_before_) {
      if (const std::optional<uint64_t> bytes = nvml_free_bytes(index_)) {
        return *bytes;
      }
    }
    return allocator().getMemoryInfo(index_).first;
  }

  /// Bytes that are taken and not reserved, but for those that were taken
  /// before this process came. Where that is unknown, all count as this
  /// process's: a budget then errs to the safe side.
  uint64_t context_bytes() {
    const uint64_t before = free_before_.value_or(total_);
    return before - std::min(before, free_bytes() + reserved());
  }

  c10::DeviceIndex index_;
  uint64_t total_;
  std::optional<uint64_t> free_before_;
  double users_fraction_ = 1; // a limit by PYTORCH_ALLOC_CONF
};

/// Holds for all that LibTorch's allocator reserves: a request beyond it first
/// empties the cache. Memory that libraries take from the driver themselves
/// (modules, workspaces outside of the allocator) is not held, only measured as
/// program(). If the allocator is not the known one, nothing is held: the
/// budget is kept by planning alone.
void CudaMemory::set_limit(std::optional<uint64_t> bytes) {
  if constexpr (ACCRUE_CUDA_LIMIT) {
    double fraction = users_fraction_;
    if (bytes && *bytes < total_) {
      const uint64_t limit = *bytes - std::min(*bytes, kPieceBytes);
      fraction = std::min(
          fraction, static_cast<double>(limit) / static_cast<double>(total_));
    }
    known_allocator().setMemoryFraction(fraction, index_);
    // Compared as bytes, to which the allocator rounds.
    const double set = known_allocator().getMemoryFraction(index_);
    if (!(std::abs(set - fraction) * static_cast<double>(total_) < 4096)) {
      throw Error(fmt::format(
          "[device] LibTorch's CUDA allocator must take a limit of memory: {} "
          "of the device was asked for, {} was set. Leave --memory out.",
          fraction,
          set));
    }
  }
}

} // namespace

DeviceMemory& cuda_memory(int index) {
  if (!cuda_is_loaded() || index < 0 ||
      index >= at::accelerator::deviceCount()) {
    throw ConfigError(fmt::format(
        "[device] cuda:{} must be open before its memory can be asked for; {}. "
        "Choose a device that LibTorch has.",
        index,
        cuda_is_loaded() ? "LibTorch does not have it"
                         : "LibTorch's CUDA half is not loaded"));
  }
  static std::mutex mutex;
  static auto* memories = new std::map<int, std::unique_ptr<CudaMemory>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<CudaMemory>& memory = (*memories)[index];
  if (!memory) {
    memory = std::make_unique<CudaMemory>(index);
  }
  return *memory;
}

} // namespace accrue::device
