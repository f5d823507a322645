// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <thread>

namespace accrue::cli {

/// Sets the number of LibTorch's threads. 0 = OMP_NUM_THREADS, or without it
/// all cores that this process may use.
void set_threads(int64_t threads);

/// Calls set_threads(). While alive, chooses how OpenMP's threads wait for each
/// other: spinning while they have their cores alone, asleep while other
/// programs want the cores, too. Where OMP_WAIT_POLICY, GOMP_SPINCOUNT or
/// KMP_BLOCKTIME is set, the user has chosen.
class Threads {
 public:
  explicit Threads(int64_t threads);

 private:
  void watch(const std::stop_token& stop, int idle_threads);

  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread watcher_; // last, so that it ends before the others go
};

} // namespace accrue::cli
