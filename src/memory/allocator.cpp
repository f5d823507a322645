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

#include "accrue/core/units.h"
#include "memory/meter.h"

namespace accrue::memory {
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
/// the system, kept when freed, and reshaped or given back, oldest first,
/// whenever live and kept blocks together would exceed what was live at once.
/// Only they count against the limit.
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
        block = take(total);
      }
      live_ += total - kHeaderBytes;
      peak_ = std::max(peak_, live_);
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

  uint64_t live() {
    std::lock_guard lock(mutex_);
    return live_;
  }
  uint64_t peak() {
    std::lock_guard lock(mutex_);
    return peak_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    peak_ = live_;
  }
  uint64_t held() {
    std::lock_guard lock(mutex_);
    return in_use_ + kept_bytes_;
  }
  void set_limit(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    limit_ = bytes;
  }
  void release_kept() {
    std::lock_guard lock(mutex_);
    most_in_use_ = in_use_;
    give_back();
  }

  /// Never destroyed: tensors of static storage may outlive everything.
  static CachingAllocator& instance() {
    static auto* allocator = new CachingAllocator;
    return *allocator;
  }

 private:
  struct Kept {
    void* block;
    size_t size;
  };

  /// A large block, with the lock held.
  void* take(size_t size) {
    if (in_use_ + size > limit_) {
      out_of_memory(
          size, fmt::format("the budget leaves {}", format_bytes(limit_)));
    }
    in_use_ += size;
    most_in_use_ = std::max(most_in_use_, in_use_);
    auto fits = [&](const Kept& kept) { return kept.size == size; };
    auto it = std::find_if(kept_.rbegin(), kept_.rend(), fits);
    if (it != kept_.rend()) { // the newest: likely still in the CPU's cache
      void* block = it->block;
      kept_bytes_ -= size;
      kept_.erase(std::next(it).base());
      return block;
    }
    void* block =
        in_use_ + kept_bytes_ > most_in_use_ ? reshape(size) : nullptr;
    give_back();
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
      most_in_use_ = in_use_;
      give_back(); // a smaller request may need it
      out_of_memory(size, "the system gives no more");
    }
    if (size >= kHugePageBytes) { // a wish: some systems have none
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

  void give_back() {
    size_t stale = 0;
    while (stale < kept_.size() && in_use_ + kept_bytes_ > most_in_use_) {
      munmap(kept_[stale].block, kept_[stale].size);
      kept_bytes_ -= kept_[stale].size;
      ++stale;
    }
    kept_.erase(
        kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(stale));
  }

  /// Instead of giving one block back and mapping another: the kept block that
  /// is nearest in size gets the new size and keeps its pages, which the system
  /// would have to clear again.
  void* reshape(size_t size) {
    auto distance = [&](const Kept& kept) {
      return kept.size > size ? kept.size - size : size - kept.size;
    };
    auto it = std::min_element(
        kept_.begin(), kept_.end(), [&](const Kept& a, const Kept& b) {
          return distance(a) < distance(b);
        });
    if (it == kept_.end()) {
      return nullptr;
    }
    void* block = mremap(it->block, it->size, size, MREMAP_MAYMOVE);
    if (block == MAP_FAILED) {
      return nullptr;
    }
    kept_bytes_ -= it->size;
    kept_.erase(it);
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
      self.live_ -= total - kHeaderBytes;
      if (total >= kLargeBytes) {
        self.in_use_ -= total;
        self.kept_bytes_ += total;
        self.kept_.push_back({block, total});
        return;
      }
    }
    c10::free_cpu(block);
  }

  std::mutex mutex_;
  uint64_t live_ = 0;
  uint64_t peak_ = 0;
  size_t in_use_ = 0; // large blocks
  size_t most_in_use_ = 0;
  size_t kept_bytes_ = 0;
  uint64_t limit_ = kNoLimit;
  std::vector<Kept> kept_; // oldest first
};

} // namespace

void install_allocator() {
  c10::SetCPUAllocator(&CachingAllocator::instance(), /*priority=*/1);
}

uint64_t live_bytes() {
  return CachingAllocator::instance().live();
}

uint64_t peak_bytes() {
  return CachingAllocator::instance().peak();
}

void reset_peak() {
  CachingAllocator::instance().reset_peak();
}

void set_limit(std::optional<uint64_t> bytes) {
  CachingAllocator::instance().set_limit(bytes.value_or(kNoLimit));
}

void release_kept() {
  CachingAllocator::instance().release_kept();
}

uint64_t held_bytes() {
  return CachingAllocator::instance().held();
}

} // namespace accrue::memory
