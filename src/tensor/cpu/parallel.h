// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace accrue::tensor {

/// Keeps the first exception thrown in a parallel region, such as that of a
/// thread that runs out of memory, to rethrow it after the region: OpenMP does
/// not allow an exception to leave one.
class ExceptionCollector {
 public:
  /// Calls run() and keeps its exception, if any.
  template <class Run>
  void guard(const Run& run) {
    try {
      run();
    } catch (...) {
#pragma omp critical(accrue_exception_collector)
      if (!first_) {
        first_ = std::current_exception();
      }
    }
  }
  void rethrow() const {
    if (first_) {
      std::rethrow_exception(first_);
    }
  }

 private:
  std::exception_ptr first_;
};

/// Fewest rows that are worth another thread.
constexpr int64_t kGrainRows = 16;

/// Calls run(begin, end) on ranges that cover [0, count), one per thread of
/// LibTorch's OpenMP pool, each at least `grain` long. Nested calls are serial.
template <class Run>
void parallel_for(int64_t count, int64_t grain, const Run& run) {
  int64_t threads = omp_in_parallel() != 0 ? 1 : int64_t{omp_get_max_threads()};
  threads = std::min(threads, count / std::max<int64_t>(grain, 1));
  if (threads <= 1) {
    run(int64_t{0}, count);
    return;
  }
  ExceptionCollector exceptions;
#pragma omp parallel num_threads(static_cast <int>(threads))
  {
    int64_t thread = omp_get_thread_num();
    int64_t all = omp_get_num_threads();
    exceptions.guard(
        [&] { run(count * thread / all, count * (thread + 1) / all); });
  }
  exceptions.rethrow();
}

/// Calls run(i) for every i in [0, count); each thread takes the next i when it
/// has finished one.
template <class Run>
void parallel_tasks(int64_t count, const Run& run) {
  ExceptionCollector exceptions;
#pragma omp parallel for schedule(dynamic) if (!omp_in_parallel())
  for (int64_t i = 0; i < count; ++i) {
    exceptions.guard([&] { run(i); });
  }
  exceptions.rethrow();
}

} // namespace accrue::tensor
