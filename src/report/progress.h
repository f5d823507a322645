#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "report/metrics.h"

namespace accrue::report {

/// "step 12/200  loss 3.2100  lr 3.0e-04  |g| 1.2  8.1k tok/s  16 x 4 …"
std::string step_line(
    const StepMetrics& metrics,
    int64_t total_steps,
    double eta_s);

/// Told now and then how far something that takes a while has come.
using Tick =
    std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

/// Where people look: one line per step, and on a terminal a line that moves
/// within steps that take long.
class Progress {
 public:
  Progress(std::FILE* stream, bool quiet);

  /// A line that stays.
  void line(const std::string& text);

  /// A passing line "what: 40 %, ETA 12 s": replaces the last passing one;
  /// shown on terminals only, and at most a few times a second.
  void passing(const std::string& what, uint64_t done, uint64_t total);

  /// Ticks as passing lines; not to outlive this object.
  Tick ticker();

 private:
  void clear();

  std::FILE* stream_;
  bool quiet_;
  bool terminal_;
  bool passing_shown_ = false;
  std::string passing_what_;
  std::chrono::steady_clock::time_point passing_since_{};
  std::chrono::steady_clock::time_point next_{};
};

} // namespace accrue::report
