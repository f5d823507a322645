#include "memory/meter.h"

#include <algorithm>
#include <fstream>
#include <string>

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
