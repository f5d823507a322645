// SPDX-License-Identifier: Apache-2.0
#include "cli/threads.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "core/cgroup.h"

// A spinning thread takes the core from the thread that it waits for, if
// another program has the other core. A sleeping thread wakes up late, in a
// virtual machine perhaps by tenths of a millisecond. docs/decisions.md has
// figures.

#if !defined(ACCRUE_GNU_OPENMP)
extern "C" void kmp_set_blocktime(int milliseconds);
#endif

namespace accrue::cli {
namespace {

constexpr std::chrono::milliseconds kInterval{200}; // between two measurements

/// Time of a thread as the system counts it, in ns.
struct Time {
  double on_core = 0;
  double without_core = 0; // runnable, but another thread had the core
};

/// Returns the times of this process's threads by their numbers; none if the
/// system does not count.
std::map<std::string, Time> times_of_threads() {
  std::map<std::string, Time> times;
  std::error_code error;
  std::filesystem::directory_iterator tasks("/proc/self/task", error);
  for (; !error && tasks != end(tasks); tasks.increment(error)) {
    std::ifstream file(tasks->path() / "schedstat");
    Time time;
    if (file >> time.on_core >>
        time.without_core) { // the thread may just have ended
      times[tasks->path().filename()] = time;
    }
  }
  return times;
}

/// Returns the largest share of its runnable time that a thread lacked a core,
/// over threads that were runnable for a fifth of the interval or more; nullopt
/// if none was.
std::optional<double> largest_share(
    const std::map<std::string, Time>& before,
    const std::map<std::string, Time>& now) {
  std::optional<double> largest;
  for (const auto& [thread, time] : now) {
    auto earlier = before.find(thread);
    if (earlier != before.end()) {
      double without = time.without_core - earlier->second.without_core;
      double wanted = time.on_core - earlier->second.on_core + without;
      if (wanted >= 0.2 * std::chrono::nanoseconds(kInterval).count()) {
        largest = std::max(largest.value_or(0), without / wanted);
      }
    }
  }
  return largest;
}

/// While alive, waiting threads go to sleep soon.
///
/// GNU's runtime has no function for this, but a rule: threads spin 300000
/// times, some milliseconds, unless there are more of them than cores; then 100
/// times. This class adds threads that do nothing.
class SleepSoon {
 public:
  explicit SleepSoon(int idle_threads)
      : crowd_([idle_threads](const std::stop_token& stop) {
          pthread_setname_np(
              pthread_self(), "accrue-asleep"); // for all threads below
          omp_set_dynamic(0); // fewer threads would have no effect
#pragma omp parallel num_threads(idle_threads + 1)
          omp_get_thread_num(); // an empty region would be left out
          // The runtime keeps the threads until this one ends.
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any().wait(lock, stop, [] { return false; });
        }) {
  }

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

void set_threads(int64_t threads) {
  if (const char* wanted = std::getenv("OMP_NUM_THREADS");
      threads == 0 && wanted != nullptr) {
    threads = std::atoi(wanted); // of a list, the outermost level
  }
  if (threads <= 0) {
    // LibTorch's own choice leaves out the second threads of cores.
    threads = std::min<int64_t>(usable_cpus(), at::get_num_threads());
  }
  at::set_num_threads(static_cast<int>(threads));
}

Threads::Threads(int64_t count) {
  set_threads(count);
  const int threads = at::get_num_threads();
  if (threads == 1 || chosen_by_user()) {
    return;
  }
#if defined(ACCRUE_GNU_OPENMP)
  // With few threads on very many cores the runtime's own way stays: the system
  // may refuse so many idle threads, which would end the program.
  constexpr int kMost = 64;
  const int idle_threads = std::max(omp_get_num_procs() - threads, 0) + 1;
  if (idle_threads <= kMost) {
    watcher_ = std::jthread([this, idle_threads](const std::stop_token& stop) {
      try {
        watch(stop, idle_threads);
      } catch (const std::exception&) {
        // No more threads or memory. Threads wait as the runtime lets them: the
        // result is the same, only slow beside other programs.
      }
    });
  }
#else
  kmp_set_blocktime(1); // LLVM's and Intel's: milliseconds of spinning
#endif
}

void Threads::watch(const std::stop_token& stop, int idle_threads) {
  // Alone, a thread lacks a core for 1 % of its runnable time; beside one busy
  // program, one of two threads lacks it for 30 % and more, spinning or asleep.
  constexpr double kShare = 0.1;
  std::optional<SleepSoon> sleep_soon(std::in_place, idle_threads);
  int looks_alone = 0;
  auto before = times_of_threads();
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(
      lock, stop, kInterval, [&] { return stop.stop_requested(); })) {
    auto now = times_of_threads();
    if (auto share =
            largest_share(before, now)) { // without one nothing changes
      looks_alone = *share < kShare ? looks_alone + 1 : 0;
      if (looks_alone == 2) {
        sleep_soon.reset();
      } else if (looks_alone == 0 && !sleep_soon) {
        sleep_soon.emplace(idle_threads);
      }
    }
    before = std::move(now);
  }
}

} // namespace accrue::cli
