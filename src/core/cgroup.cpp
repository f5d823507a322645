// SPDX-License-Identifier: Apache-2.0
#include "core/cgroup.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace accrue {
namespace {

namespace fs = std::filesystem;

/// One line of /proc/self/cgroup: a hierarchy of control groups that this
/// process is in.
struct Membership {
  std::string controllers; // separated by commas; empty: version 2
  fs::path path; // of the group, relative to the hierarchy's root

  bool is_v2() const {
    return controllers.empty();
  }
  bool has(std::string_view controller) const {
    std::istringstream list(controllers);
    for (std::string name; std::getline(list, name, ',');) {
      if (name == controller) {
        return true;
      }
    }
    return false;
  }
};

/// Reads lines of the form "id:controllers:path".
std::vector<Membership> memberships(const fs::path& file) {
  std::vector<Membership> list;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    size_t first = line.find(':');
    size_t second =
        first == std::string::npos ? first : line.find(':', first + 1);
    if (second != std::string::npos) {
      list.push_back(
          {line.substr(first + 1, second - first - 1),
           fs::path(line.substr(second + 1))
               .lexically_normal()
               .relative_path()});
    }
  }
  return list;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// Returns the folders of a group and of all groups around it, innermost first.
/// In a container the mounted root may be the container's own group although
/// /proc gives the path from the host's root. Leading parts of the path that do
/// not exist below `mount` are therefore skipped.
std::vector<fs::path> groups(const fs::path& mount, const fs::path& path) {
  const std::vector<fs::path> parts(path.begin(), path.end());
  auto first = parts.begin();
  auto folder_up_to = [&](auto last) {
    fs::path folder = mount;
    for (auto part = first; part != last; ++part) {
      folder /= *part;
    }
    return folder;
  };
  while (first != parts.end() && !is_folder(folder_up_to(parts.end()))) {
    ++first;
  }
  std::vector<fs::path> folders{folder_up_to(parts.end())};
  for (auto last = parts.end(); last != first;) {
    folders.push_back(folder_up_to(--last));
  }
  return folders;
}

/// Folders that may hold limits of one controller, and the version of their
/// files. Where both versions are mounted, a controller has its limits in only
/// one of them.
struct Groups {
  bool is_v2;
  std::vector<fs::path> folders; // innermost first
};

std::vector<Groups> find_groups(
    const CgroupFiles& files,
    std::string_view controller) {
  std::vector<Groups> found;
  for (const Membership& member : memberships(files.membership)) {
    fs::path mount = files.mounts;
    if (member.is_v2()) {
      mount = is_folder(mount / "unified") ? mount / "unified" : mount;
    } else if (member.has(controller)) {
      // The mount is named after all controllers of the hierarchy, or after
      // one.
      mount = is_folder(mount / member.controllers) ? mount / member.controllers
                                                    : mount / controller;
    } else {
      continue;
    }
    found.push_back({member.is_v2(), groups(mount, member.path)});
  }
  return found;
}

/// Returns the number that a file holds; nullopt for "max" or a missing file.
std::optional<uint64_t> read_number(const fs::path& file) {
  std::ifstream in(file);
  uint64_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;
}

/// Bytes of page cache that the kernel could drop, from memory.stat.
uint64_t droppable_bytes(const fs::path& group, bool is_v2) {
  const std::string prefix = is_v2 ? "" : "total_"; // v1: with child groups
  std::ifstream lines(group / "memory.stat");
  uint64_t sum = 0;
  std::string name;
  uint64_t bytes = 0;
  while (lines >> name >> bytes) {
    if (name == prefix + "inactive_file" || name == prefix + "active_file") {
      sum += bytes;
    }
  }
  return sum;
}

template <class T>
void tighten(std::optional<T>& limit, std::optional<T> other) {
  if (other) {
    limit = limit ? std::min(*limit, *other) : *other;
  }
}

std::optional<double> cpus_of(const fs::path& group, bool is_v2) {
  double quota = 0;
  double period = 0;
  if (is_v2) {
    std::ifstream in(group / "cpu.max"); // "max 100000": no limit
    in >> quota >> period;
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota; // -1: no limit
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

std::optional<uint64_t> free_bytes_of(const fs::path& group, bool is_v2) {
  std::optional<uint64_t> limit;
  std::optional<uint64_t> usage;
  if (is_v2) {
    limit = read_number(group / "memory.max");
    // Above memory.high the kernel throttles a process almost to a halt.
    tighten(limit, read_number(group / "memory.high"));
    usage = read_number(group / "memory.current");
  } else {
    limit = read_number(group / "memory.limit_in_bytes");
    usage = read_number(group / "memory.usage_in_bytes");
  }
  if (!limit || !usage) {
    return std::nullopt;
  }
  uint64_t used = *usage - std::min(*usage, droppable_bytes(group, is_v2));
  return *limit - std::min(*limit, used);
}

/// Returns the smallest limit of all groups that this process is in.
template <class T>
std::optional<T> tightest(
    const CgroupFiles& files,
    std::string_view controller,
    std::optional<T> (*limit_of)(const fs::path&, bool)) {
  std::optional<T> limit;
  for (const Groups& groups : find_groups(files, controller)) {
    for (const fs::path& folder : groups.folders) {
      tighten(limit, limit_of(folder, groups.is_v2));
    }
  }
  return limit;
}

/// Number of cores in this process's affinity mask.
int64_t allowed_cpus() {
  // The size of the kernel's masks is not known beforehand: larger and larger
  // ones are tried.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(cpus));
    size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    bool known = set != nullptr && sched_getaffinity(0, bytes, set) == 0;
    int64_t count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) {
      return count;
    }
  }
  return std::thread::hardware_concurrency();
}

} // namespace

std::optional<double> cgroup_cpus(const CgroupFiles& files) {
  return tightest<double>(files, "cpu", cpus_of);
}

std::optional<uint64_t> cgroup_free_bytes(const CgroupFiles& files) {
  return tightest<uint64_t>(files, "memory", free_bytes_of);
}

int64_t usable_cpus() {
  int64_t cpus = allowed_cpus();
  if (std::optional<double> share = cgroup_cpus()) {
    cpus = std::min(cpus, static_cast<int64_t>(std::ceil(*share)));
  }
  return std::max<int64_t>(1, cpus);
}

} // namespace accrue
