#include "cli/waiting.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

// A thread that spins takes the core from the thread that it waits for, if
// another program has the other core. A thread that sleeps wakes up late, in a
// virtual machine perhaps by tenths of a millisecond. docs/decisions.md has
// figures.

// LLVM's and Intel's runtimes have it: milliseconds of spinning.
extern "C" __attribute__((weak)) void kmp_set_blocktime(int milliseconds);

namespace accrue::cli {
namespace {

/// What the system counts of the threads of this process, in ns.
struct Time {
  double on_core = 0;
  double without_core = 0; // though they could have run
};

/// Zeros if the system does not count.
Time time_of_threads() {
  Time sum;
  std::error_code error;
  std::filesystem::directory_iterator tasks("/proc/self/task", error);
  for (; !error && tasks != end(tasks); tasks.increment(error)) {
    std::ifstream file(tasks->path() / "schedstat");
    Time time;
    if (file >> time.on_core >> time.without_core) { // has not ended just now
      sum.on_core += time.on_core;
      sum.without_core += time.without_core;
    }
  }
  return sum;
}

/// While alive, threads that wait sleep soon.
///
/// GNU's runtime has no function for this, but a rule: they spin 300000 times,
/// some milliseconds, unless it has more threads than there are cores; then 100
/// times. So this adds threads, which sleep.
class SleepSoon {
 public:
  SleepSoon() {
    if (kmp_set_blocktime != nullptr) {
      kmp_set_blocktime(0);
      return;
    }
    crowd_ = std::jthread([](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "accrue-asleep"); // all of them
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
      omp_get_thread_num(); // an empty region would be left out
      // The runtime keeps its threads until the one that asked for them ends.
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any().wait(lock, stop, [] { return false; });
    });
  }
  ~SleepSoon() {
    if (kmp_set_blocktime != nullptr) {
      kmp_set_blocktime(200); // as the runtime comes
    }
  }
  SleepSoon(const SleepSoon&) = delete;
  SleepSoon& operator=(const SleepSoon&) = delete;

 private:
  std::jthread crowd_;
};

bool chosen_by_user() {
  constexpr std::array kVariables{
      "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"};
  return std::ranges::any_of(kVariables, [](const char* name) {
    return std::getenv(name) != nullptr;
  });
}

} // namespace

Waiting::Waiting() {
  if (!chosen_by_user()) {
    watcher_ =
        std::jthread([this](const std::stop_token& stop) { watch(stop); });
  }
}

void Waiting::watch(const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kInterval{100};
  // Threads that have two cores alone lack one for 1 % of the time that they
  // could run; beside one busy program, for 30 %, whether they spin or sleep.
  constexpr double kShare = 0.05;
  auto sleep_soon = std::make_unique<SleepSoon>();
  Time before = time_of_threads();
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    ended_.wait_for(lock, stop, kInterval, [] { return false; });
    const Time now = time_of_threads();
    const double on_core = now.on_core - before.on_core;
    const double without = now.without_core - before.without_core;
    const bool alone = on_core > 0 && without < kShare * (on_core + without);
    if (alone) {
      sleep_soon.reset();
    } else if (sleep_soon == nullptr) {
      sleep_soon = std::make_unique<SleepSoon>();
    }
    before = now;
  }
}

} // namespace accrue::cli
