// SPDX-License-Identifier: Apache-2.0
#include "run/run_lock.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <string_view>
#include <thread>
#include <utility>

#include "accrue/core/error.h"
#include "io/files.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = ".lock";

/// Attempts to take the lock: another process that only looks at it holds it
/// for a moment.
constexpr int kAttempts = 20;
constexpr std::chrono::milliseconds kPause{25};

std::string describe_self() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format(
      "process {} on {} since {:%Y-%m-%d %H:%M:%S} UTC",
      ::getpid(),
      host.data(),
      fmt::gmtime(std::time(nullptr)));
}

std::string read_holder(int fd) {
  std::array<char, 512> text{};
  ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  std::string holder(
      text.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return holder.empty() ? "another run" : holder;
}

[[noreturn]] void fail(const char* verb, const fs::path& path) {
  throw DataError(fmt::format(
      "[io] cannot {} {}: {}. Choose an --out that can be written, on a file "
      "system with locks.",
      verb,
      path.string(),
      std::strerror(errno)));
}

const fs::path& made(const fs::path& folder) {
  io::make_directory(folder);
  return folder;
}

bool take(int fd) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// Describes the process that writes into `out` now; empty if there is none.
std::string run_in(const fs::path& out) {
  int fd = ::open((out / kLockName).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return "";
  }
  const bool held = !take(fd) && errno == EWOULDBLOCK;
  std::string holder = held ? read_holder(fd) : "";
  ::close(fd);
  return holder;
}

std::string in_use(const fs::path& out, const std::string& run) {
  return fmt::format(
      "--out {} is in use by {}; wait until that has ended, or choose another "
      "folder",
      out.string(),
      run);
}

} // namespace

bool is_unused(const fs::path& out) {
  std::error_code code;
  if (!fs::exists(out, code)) {
    return true;
  }
  fs::directory_iterator entries(out, code);
  return !code &&
      std::all_of(begin(entries), end(entries), [](const auto& entry) {
        return entry.path().filename() == kLockName;
      });
}

void check_out(const fs::path& out, bool resume, Problems& problems) {
  if (std::string run = run_in(out); !run.empty()) {
    problems.add(in_use(out, run));
  } else if (!resume && !is_unused(out)) {
    problems.add(fmt::format(
        "--out {} is not empty; choose another folder, or pass --resume to go "
        "on with the run in it",
        out.string()));
  }
}

RunLock::File::File(const fs::path& path)
    : fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd < 0) {
    fail("write", path);
  }
}

RunLock::File::~File() {
  if (fd >= 0) {
    ::close(fd);
  }
}

RunLock::RunLock(fs::path out)
    : out_(std::move(out)), file_(made(out_) / kLockName) {
  for (int i = 1; !take(file_.fd); ++i) {
    if (errno != EWOULDBLOCK) {
      fail("lock", out_ / kLockName);
    }
    if (i == kAttempts) {
      throw ConfigError(
          fmt::format("[config] {}.", in_use(out_, read_holder(file_.fd))));
    }
    std::this_thread::sleep_for(kPause);
  }
  const std::string self = describe_self();
  if (::ftruncate(file_.fd, 0) != 0 ||
      ::pwrite(file_.fd, self.data(), self.size(), 0) < 0) {
    fail("write", out_ / kLockName);
  }
}

void RunLock::check() const {
  struct stat locked {};
  struct stat there {};
  if (::fstat(file_.fd, &locked) != 0 ||
      ::stat((out_ / kLockName).c_str(), &there) != 0 ||
      locked.st_dev != there.st_dev || locked.st_ino != there.st_ino) {
    throw DataError(fmt::format(
        "[run] {} is no longer the folder that this run began in: it was moved "
        "or its {} removed, so another run may write there. Nothing more is "
        "written; go on from the last checkpoint with --resume.",
        out_.string(),
        kLockName));
  }
}

} // namespace accrue
