#include "memory/meter.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

namespace accrue::memory {
namespace {

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

uint64_t resident_bytes() {
  return proc_bytes("/proc/self/status", "VmRSS");
}

uint64_t peak_resident_bytes() {
  return proc_bytes("/proc/self/status", "VmHWM");
}

uint64_t available_bytes() {
  uint64_t bytes = proc_bytes("/proc/meminfo", "MemAvailable");
  const std::string v1 = "/sys/fs/cgroup/memory/memory.";
  const std::string v2 = "/sys/fs/cgroup/memory.";
  for (const auto& [limit_file, usage_file] :
       {std::pair{v2 + "max", v2 + "current"},
        std::pair{v1 + "limit_in_bytes", v1 + "usage_in_bytes"}}) {
    uint64_t limit = 0; // "max": none
    uint64_t usage = 0;
    if (std::ifstream(limit_file) >> limit &&
        std::ifstream(usage_file) >> usage) {
      bytes = std::min(bytes, limit - std::min(usage, limit));
    }
  }
  return bytes + resident_bytes();
}

void trim() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

} // namespace accrue::memory
