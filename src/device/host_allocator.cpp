// SPDX-License-Identifier: Apache-2.0
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "device/memory.h"
#include "device/process.h"

namespace accrue::device {
namespace {

constexpr size_t kHeaderBytes = 64; // in front of each block; keeps alignment
constexpr size_t kLargeBytes = size_t{64} << 10;
constexpr size_t kPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

/// Large blocks come in 32 sizes per doubling: enough for a freed one to fit
/// the next request, few enough bytes lost for the count to be true.
size_t block_size(size_t bytes) {
  size_t granule = std::max(kPageBytes, std::bit_floor(bytes) / 32);
  return (bytes + granule - 1) / granule * granule;
}

/// Small requests go to LibTorch's own allocation. Large ones are mapped from
/// the system, cached when freed, and reshaped or returned, oldest first,
/// whenever blocks in use and cached blocks together would exceed what was in
/// use at once. Only large ones count against the limit.
class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    if (size == 0) {
      return {nullptr, nullptr, &release, c10::Device(c10::DeviceType::CPU)};
    }
    size_t total = size + kHeaderBytes;
    void* block = nullptr;
    if (total < kLargeBytes) {
      block = c10::alloc_cpu(total);
    } else {
      total = block_size(total);
    }
    {
      std::lock_guard lock(mutex_);
      if (block == nullptr) {
        block = allocate_block(total);
      }
      allocated_ += total - kHeaderBytes;
      max_allocated_ = std::max(max_allocated_, allocated_);
    }
    std::memcpy(block, &total, sizeof total);
    // oneDNN's scratch needs the context to be the data pointer.
    void* data = static_cast<char*>(block) + kHeaderBytes;
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }

  void copy_data(void* dest, const void* src, size_t count) const override {
    default_copy_data(dest, src, count);
  }

  uint64_t allocated() {
    std::lock_guard lock(mutex_);
    return allocated_;
  }
  uint64_t max_allocated() {
    std::lock_guard lock(mutex_);
    return max_allocated_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    max_allocated_ = allocated_;
  }
  uint64_t reserved() {
    std::lock_guard lock(mutex_);
    return in_use_ + cached_bytes_;
  }
  void set_limit(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    limit_ = bytes;
  }
  void empty_cache() {
    std::lock_guard lock(mutex_);
    max_in_use_ = in_use_;
    trim_cache();
  }

  /// Never destroyed: tensors of static storage may outlive everything.
  static CachingAllocator& instance() {
    static auto* allocator = new CachingAllocator;
    return *allocator;
  }

 private:
  struct CachedBlock {
    void* block;
    size_t size;
  };

  /// A large block, with the lock held.
  void* allocate_block(size_t size) {
    if (in_use_ + size > limit_) {
      out_of_memory(
          size, fmt::format("the budget leaves {}", format_bytes(limit_)));
    }
    in_use_ += size;
    max_in_use_ = std::max(max_in_use_, in_use_);
    auto fits = [&](const CachedBlock& cached) { return cached.size == size; };
    auto it = std::find_if(cached_.rbegin(), cached_.rend(), fits);
    if (it != cached_.rend()) { // the newest: likely still in the CPU's cache
      void* block = it->block;
      cached_bytes_ -= size;
      cached_.erase(std::next(it).base());
      return block;
    }
    void* block =
        in_use_ + cached_bytes_ > max_in_use_ ? reshape(size) : nullptr;
    trim_cache();
    if (block == nullptr) {
      block = mmap(
          nullptr,
          size,
          PROT_READ | PROT_WRITE,
          MAP_PRIVATE | MAP_ANONYMOUS,
          -1,
          0);
    }
    if (block == MAP_FAILED) {
      in_use_ -= size;
      max_in_use_ = in_use_;
      trim_cache(); // a smaller request may need it
      out_of_memory(size, "the system gives no more");
    }
    if (size >= kHugePageBytes) { // a hint: some systems have none
      madvise(block, size, MADV_HUGEPAGE);
    }
    return block;
  }

  /// LibTorch's own error, so that all devices run out of memory alike.
  [[noreturn]] void out_of_memory(size_t size, const std::string& why) {
    TORCH_CHECK_WITH(
        OutOfMemoryError,
        false,
        "[memory] a tensor needs ",
        format_bytes(size),
        " more; ",
        format_bytes(in_use_),
        " are in use, ",
        why,
        ".");
  }

  void trim_cache() {
    size_t stale = 0;
    while (stale < cached_.size() && in_use_ + cached_bytes_ > max_in_use_) {
      munmap(cached_[stale].block, cached_[stale].size);
      cached_bytes_ -= cached_[stale].size;
      ++stale;
    }
    cached_.erase(
        cached_.begin(), cached_.begin() + static_cast<std::ptrdiff_t>(stale));
  }

  /// Resizes the cached block nearest in size, which keeps its pages: a fresh
  /// block would have to be cleared by the system.
  void* reshape(size_t size) {
    auto distance = [&](const CachedBlock& cached) {
      return cached.size > size ? cached.size - size : size - cached.size;
    };
    auto it = std::min_element(
        cached_.begin(),
        cached_.end(),
        [&](const CachedBlock& a, const CachedBlock& b) {
          return distance(a) < distance(b);
        });
    if (it == cached_.end()) {
      return nullptr;
    }
    void* block = mremap(it->block, it->size, size, MREMAP_MAYMOVE);
    if (block == MAP_FAILED) {
      return nullptr;
    }
    cached_bytes_ -= it->size;
    cached_.erase(it);
    return block;
  }

  static void release(void* data) {
    if (data == nullptr) {
      return;
    }
    void* block = static_cast<char*>(data) - kHeaderBytes;
    size_t total = 0;
    std::memcpy(&total, block, sizeof total);
    CachingAllocator& self = instance();
    {
      std::lock_guard lock(self.mutex_);
      self.allocated_ -= total - kHeaderBytes;
      if (total >= kLargeBytes) {
        self.in_use_ -= total;
        self.cached_bytes_ += total;
        self.cached_.push_back({block, total});
        return;
      }
    }
    c10::free_cpu(block);
  }

  std::mutex mutex_;
  uint64_t allocated_ = 0;
  uint64_t max_allocated_ = 0;
  size_t in_use_ = 0; // large blocks
  size_t max_in_use_ = 0;
  size_t cached_bytes_ = 0;
  uint64_t limit_ = kNoLimit;
  std::vector<CachedBlock> cached_; // oldest first
};

class HostMemory final : public DeviceMemory {
 public:
  uint64_t allocated() override {
    return CachingAllocator::instance().allocated();
  }
  uint64_t max_allocated() override {
    return CachingAllocator::instance().max_allocated();
  }
  void reset_peak() override {
    CachingAllocator::instance().reset_peak();
  }
  uint64_t reserved() override {
    return CachingAllocator::instance().reserved();
  }
  void empty_cache() override {
    CachingAllocator::instance().empty_cache();
  }
  uint64_t available() override {
    return available_bytes();
  }
  uint64_t program() override {
    empty_cache();
    const uint64_t resident = resident_bytes();
    return resident - std::min(resident, reserved()) + kLaterBytes;
  }
  void set_limit(std::optional<uint64_t> bytes) override {
    CachingAllocator::instance().set_limit(bytes.value_or(kNoLimit));
  }
  void synchronize() override {} // work on the CPU is done when it returns

 private:
  /// Files, the report and code that has not run yet.
  static constexpr uint64_t kLaterBytes = uint64_t{4} << 20;
};

/// Priority above those of the allocators that LibTorch registers.
constexpr uint8_t kPriority = 2;

} // namespace

DeviceMemory& host_memory() {
  static HostMemory memory;
  return memory;
}

DeviceMemory& memory_of(const c10::Device& device) {
  if (device.is_cuda()) {
    return cuda_memory(device.has_index() ? device.index() : 0);
  }
  if (!device.is_cpu()) {
    throw ConfigError(fmt::format(
        "[memory] a budget can be held on the CPU and on CUDA devices, not on "
        "{}. Leave it out: the device's own limit counts.",
        device.str()));
  }
  return host_memory();
}

AllocatorScope::AllocatorScope() : previous_(c10::GetCPUAllocator()) {
  c10::SetCPUAllocator(&CachingAllocator::instance(), kPriority);
}

AllocatorScope::~AllocatorScope() {
  c10::SetCPUAllocator(previous_, kPriority);
}

} // namespace accrue::device
