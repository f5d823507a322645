// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "drive/fit_table.h"
#include "drive/window_runner.h"
#include "run/task.h"

namespace accrue {

/// Measures memory and time of micro-batches by running them.
class Prober {
 public:
  Prober(const Task& task, Window& window, const ProgressCallback& tick);

  /// Grows micro-batches of the longest sample while they fit and time allows.
  /// With `everything` also configurations that the settings or the budget make
  /// pointless.
  drive::FitTable measure(bool everything);

  /// Bytes that the process needs for one grain of the longest samples,
  /// extrapolated from shorter ones; a lower bound if those do not fit either.
  struct Minimum {
    uint64_t bytes = 0;
    int64_t fitting_length = 0; // 0 = none was found
  };
  Minimum estimate_minimum(bool recompute);

 private:
  std::optional<drive::Probe> run(
      const drive::MicroBatching& batching,
      int64_t length);
  std::optional<drive::Probe> run_timed(const drive::MicroBatching& batching);
  void measure_sizes(bool recompute);
  bool measure_first(const drive::MicroBatching& one);
  void measure_commit();
  bool exceeds_time_limit(const drive::Probe& probe, int64_t size) const;
  Minimum extrapolate(
      const std::optional<drive::Probe>& shorter,
      int64_t shorter_length) const;

  const Task& task_;
  Window& window_;
  const ProgressCallback& tick_;
  device::Budget& budget_;
  device::DeviceMemory& memory_;
  drive::WindowRunner runner_;
  int64_t length_; // of the longest sample
  std::chrono::steady_clock::time_point started_;
  drive::FitTable table_;
  std::unique_ptr<Optimizer> optimizer_; // whose state takes memory
  bool committed_ = false;
  uint64_t idle_bytes_ = 0; // of tensors between micro-batches
};

} // namespace accrue
