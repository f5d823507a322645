// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "accrue/core/error.h"

namespace accrue {

/// True if `out` holds nothing: the folder does not exist, or holds only the
/// lock file.
bool is_unused(const std::filesystem::path& out);

/// Adds a problem if no run can begin or go on in `out` now: another run writes
/// there, or the folder holds something else than a run.
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

  /// Throws DataError if the folder is no longer the one that was locked:
  /// another run may write there now.
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
