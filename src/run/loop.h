// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "drive/window_runner.h"
#include "run/interrupt.h"
#include "run/run_directory.h"
#include "run/trainer.h"
#include "run/validation.h"
#include "run/watch.h"

namespace accrue {

/// One run from start or resume to its end.
class Run {
  Task& task_;
  report::Progress& progress_;
  const OnStep& on_step_;
  Clock::time_point started_; // of the command
  InterruptGuard interrupt_;
  Window window_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<MemoryPlan> plan_;
  std::optional<drive::WindowRunner> runner_;
  RunDirectory directory_;
  Validation validation_;
  Watch watch_;
  Cursor cursor_;
  TrainSummary summary_;

 public:
  Run(Task& task,
      report::Progress& progress,
      const OnStep& on_step,
      Clock::time_point started);

  TrainSummary run(const std::optional<drive::FitTable>& known);

 private:
  // loop.cpp
  report::StepMetrics step();
  void validate(report::StepMetrics& m);
  void warn(report::StepMetrics& m);
  bool ends() const;
  void check_ends();
  /// Most tokens at once in passes without gradients.
  int64_t evaluation_tokens() const;

  // start_and_finish.cpp
  void start(const std::optional<drive::FitTable>& known);
  void plan(const std::optional<drive::FitTable>& known);
  void finish();
};

} // namespace accrue
