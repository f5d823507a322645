#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

namespace accrue::cli {

/// While alive, chooses how threads of OpenMP wait for each other: spinning as
/// long as the cores are theirs alone, asleep as soon as other programs want
/// them, too. Where OMP_WAIT_POLICY, GOMP_SPINCOUNT or KMP_BLOCKTIME is set,
/// the user has chosen.
class Waiting {
 public:
  Waiting();

 private:
  void watch(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread watcher_; // the last to be made: uses the others
};

} // namespace accrue::cli
