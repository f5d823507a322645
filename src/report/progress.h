// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "core/progress.h"
#include "report/metrics.h"

namespace accrue::report {

/// Returns "step 12/200  loss 3.2100  lr 3.0e-04  |g| 1.2  8.1k tok/s  16 x 4
/// …".
std::string step_line(
    const StepMetrics& metrics,
    int64_t total_steps,
    double eta_s);

/// Progress on a console: one line per step and, on a terminal, a line that is
/// updated during long work.
class Progress {
 public:
  Progress(std::FILE* stream, bool quiet);

  bool quiet() const {
    return quiet_;
  }

  /// Prints a line that stays.
  void line(const std::string& text);

  /// Shows "what: 40 %, ETA 12 s" in place of the last such line. Has an effect
  /// on terminals only, and at most a few times a second.
  void update(const std::string& what, uint64_t done, uint64_t total);

  /// Returns a callback that calls update(). This object must outlive it.
  ProgressCallback callback();

 private:
  void clear();

  std::FILE* stream_;
  bool quiet_;
  bool terminal_;
  bool update_shown_ = false;
  std::string what_;
  std::chrono::steady_clock::time_point what_since_{};
  std::chrono::steady_clock::time_point next_{};
};

} // namespace accrue::report
