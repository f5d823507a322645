// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "report/metrics.h"
#include "report/progress.h"
#include "run/probe.h"
#include "run/task.h"
#include "run/validation.h"

namespace accrue {

/// How a run ended.
struct TrainSummary {
  int64_t steps = 0; // done in all
  std::optional<double> first_loss; // of this process; none if nothing was left
  std::optional<double> last_loss;
  double seconds = 0;
  int64_t micro_batch = 0;
  bool checkpointing = false;
  uint64_t resident_peak_bytes = 0;
  /// The most that the process took of a GPU's memory; 0 on a CPU.
  uint64_t device_peak_bytes = 0;
  /// Peak that the plan predicted, of what the budget counts; 0 if nothing was
  /// planned.
  uint64_t predicted_peak_bytes = 0;
  /// Predicted peak of the whole global batch at once; 0 if it was not probed.
  uint64_t unsplit_bytes = 0;
  /// SIGINT or SIGTERM if that ended the run early, else 0.
  int signal = 0;
  /// True if the time was over before the steps were.
  bool out_of_time = false;
  /// True if the validation loss stopped falling before the steps were over.
  bool out_of_patience = false;
  int64_t total_steps = 0; // of the whole run
  /// Best validation of the whole run; nullopt without validation.
  std::optional<Validation::Best> best;
};

/// Called after every optimizer step.
using OnStep = std::function<void(const report::StepMetrics&)>;

/// True if the settings leave it to a plan how windows are run.
bool needs_plan(const TrainOptions& options);

using Clock = std::chrono::steady_clock;

/// Trains `task` in its run directory, which is locked meanwhile, from the
/// newest good checkpoint if the options say resume and there is any. A plan is
/// made from the fit table `known`, or else from probes. SIGINT and
/// SIGTERM finish the window, save and return; so does --max-time since
/// `started`, and writes the model. At least one window is done, so that a run
/// that is resumed often enough comes to its end.
TrainSummary train(
    Task& task,
    report::Progress& progress,
    const OnStep& on_step,
    const std::optional<drive::FitTable>& known = std::nullopt,
    Clock::time_point started = Clock::now());

/// Rebuilds `run`/report.html from its config.toml and metrics.jsonl.
void write_report(const std::string& run);

} // namespace accrue
