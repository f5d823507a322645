#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

// What this process may take of the machine, from the kernel. Control groups
// of both versions are read; of several limits on the way from the process's
// group up to the root, the tightest counts, because all of them hold.

namespace accrue {

/// Where the kernel tells of control groups. Tests have trees of their own.
struct CgroupFiles {
  std::filesystem::path membership = "/proc/self/cgroup";
  std::filesystem::path mounts = "/sys/fs/cgroup";
};

/// Cores' worth of time that the group may take, e.g. 1.5; nullopt: no limit.
std::optional<double> cgroup_cpus(const CgroupFiles& files = {});

/// Bytes that the group may still take, nullopt: no limit. Page cache of files
/// counts as free: the kernel drops it before it refuses memory.
std::optional<uint64_t> cgroup_free_bytes(const CgroupFiles& files = {});

/// Threads that are worth starting: the cores that this process may run on,
/// no more than its group has the time of, rounded up.
int64_t usable_cpus();

} // namespace accrue
