#include "memory/meter.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <string>

namespace accrue::memory {
namespace {

std::atomic<uint64_t> g_live{0};
std::atomic<uint64_t> g_peak{0};

/// LibTorch's own allocation with the size kept in front of each block.
/// oneDNN's scratch needs context == data, so the size can't go there.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void* data = nullptr;
    if (size > 0) {
      auto* block = static_cast<char*>(c10::alloc_cpu(size + kHeaderBytes));
      std::memcpy(block, &size, sizeof size);
      data = block + kHeaderBytes;
      count(size);
    }
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }

  void copy_data(void* dest, const void* src, size_t count) const override {
    default_copy_data(dest, src, count);
  }

 private:
  static constexpr size_t kHeaderBytes = 64; // keeps the alignment

  static void count(size_t size) {
    uint64_t live = g_live.fetch_add(size) + size;
    uint64_t peak = g_peak.load();
    while (peak < live && !g_peak.compare_exchange_weak(peak, live)) {}
  }

  static void release(void* data) {
    if (data != nullptr) {
      char* block = static_cast<char*>(data) - kHeaderBytes;
      size_t size = 0;
      std::memcpy(&size, block, sizeof size);
      g_live.fetch_sub(size);
      c10::free_cpu(block);
    }
  }
};

/// A "Name:   123 kB" line of a file in /proc, in bytes.
uint64_t proc_bytes(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(name + ":")) {
      return std::stoull(line.substr(name.size() + 1)) * 1024;
    }
  }
  return 0;
}

} // namespace

void install_meter() {
  static CountingAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
}

uint64_t live_bytes() {
  return g_live.load();
}

uint64_t peak_bytes() {
  return g_peak.load();
}

void reset_peak() {
  g_peak.store(g_live.load());
}

uint64_t resident_bytes() {
  return proc_bytes("/proc/self/status", "VmRSS");
}

uint64_t peak_resident_bytes() {
  return proc_bytes("/proc/self/status", "VmHWM");
}

void reset_peak_resident() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

uint64_t machine_bytes() {
  uint64_t bytes = proc_bytes("/proc/meminfo", "MemTotal");
  for (const char* path :
       {"/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    uint64_t limit = 0;
    if (std::ifstream(path) >> limit && limit > 0) {
      bytes = std::min(bytes, limit);
    }
  }
  return bytes;
}

} // namespace accrue::memory
