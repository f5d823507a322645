// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

// CPU and memory limits of this process. They come from control groups of
// version 1 and 2. Each group from the process's own up to the root may have a
// limit, and all of them hold, so that the smallest one counts.

namespace accrue {

/// Paths of the kernel's files on control groups. Tests use trees of their own.
struct CgroupFiles {
  /// File that lists the groups of this process.
  std::filesystem::path membership = "/proc/self/cgroup";
  /// Folder below which the hierarchies are mounted.
  std::filesystem::path mounts = "/sys/fs/cgroup";
};

/// Returns the CPU limit in cores, e.g. 1.5; nullopt: no limit.
std::optional<double> cgroup_cpus(const CgroupFiles& files = {});

/// Returns the bytes that the group may still allocate; nullopt: no limit. Page
/// cache of files counts as free, because the kernel drops it before it refuses
/// memory.
std::optional<uint64_t> cgroup_free_bytes(const CgroupFiles& files = {});

/// Returns the number of threads worth starting: the cores that this process
/// may run on, but not more than its CPU limit rounded up.
int64_t usable_cpus();

} // namespace accrue
