#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

namespace accrue::cli {

/// While alive, chooses how threads of OpenMP wait for each other: spinning as
/// long as they have their cores alone, asleep while other programs want them,
/// too. For as many threads as LibTorch is set to use. Where OMP_WAIT_POLICY,
/// GOMP_SPINCOUNT or KMP_BLOCKTIME is set, the user has chosen.
class Waiting {
 public:
  Waiting();

 private:
  void watch(const std::stop_token& stop, int idle_threads);

  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread watcher_; // the last to be made: uses the others
};

} // namespace accrue::cli
