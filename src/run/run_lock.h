// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "accrue/core/error.h"

namespace accrue {

/// True if there is no run in `out` and nothing else: a folder that is not
/// there, or holds no more than the file of a lock.
bool is_unused(const std::filesystem::path& out);

/// Adds why no run can begin in `out`, or go on there, now: another one writes
/// there, or what is there is no run to go on with.
void check_out(
    const std::filesystem::path& out,
    bool resume,
    Problems& problems);

/// A run directory that one run writes into. The kernel lets go of the lock
/// when the process ends, however it ends.
class RunLock {
 public:
  /// Makes the folder and takes the lock. Throws ConfigError saying who holds
  /// it.
  explicit RunLock(std::filesystem::path out);

  /// Throws DataError if the folder is no longer the one that was locked, so
  /// that another run may write there now.
  void check() const;

 private:
  struct File {
    explicit File(const std::filesystem::path& path);
    ~File();
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int fd = -1;
  };

  std::filesystem::path out_;
  File file_;
};

} // namespace accrue
