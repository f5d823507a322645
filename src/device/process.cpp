// SPDX-License-Identifier: Apache-2.0
#include "device/process.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "core/cgroup.h"

namespace accrue::device {
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
  if (std::optional<uint64_t> group = cgroup_free_bytes()) {
    bytes = std::min(bytes, *group);
  }
  // Pages of files that this process has mapped count as free in both.
  const char* status = "/proc/self/status";
  return bytes + proc_bytes(status, "RssAnon") + proc_bytes(status, "RssShmem");
}

void trim_heap() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

} // namespace accrue::device
