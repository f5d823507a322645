// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/units.h"
#include "device/process.h"
#include "run/describe.h"
#include "run/loop.h"
#include "run/result.h"

// Work before the first step of a run and after its last.

namespace accrue {

Run::Run(
    Task& task,
    report::Progress& progress,
    const OnStep& on_step,
    Clock::time_point started)
    : task_(task),
      progress_(progress),
      on_step_(on_step),
      started_(started),
      interrupt_(progress.quiet()),
      window_(
          task.model().parameters(),
          {.on_nonfinite = task.options().on_nonfinite}),
      directory_(task, progress),
      validation_(task, task.options().out) {}

void Run::start(const std::optional<drive::FitTable>& known) {
  plan(known);
  optimizer_ = task_.make_optimizer(); // after probes, which make their own
  directory_.lock();
  cursor_ = directory_.begin_or_resume(*optimizer_, evaluation_tokens());
  directory_.write_settings(plan_ ? &plan_->table : nullptr);
  describe(task_, runner_->batching(), progress_);
}

void Run::plan(const std::optional<drive::FitTable>& known) {
  const TrainOptions& options = task_.options();
  drive::MicroBatching chosen{
      .max_samples = options.micro_batch.value_or(0),
      .recompute = options.checkpointing == Checkpointing::kOn};
  if (!needs_plan(options)) {
    task_.budget().limit_tensors(task_.budget().memory().program());
  } else {
    plan_ = plan_memory(
        task_, window_, {.known = known, .tick = progress_.callback()});
    task_.budget().memory().empty_cache(); // of probes
    chosen = plan_->batching;
    summary_.predicted_peak_bytes = plan_->peak_bytes;
    summary_.unsplit_bytes = plan_->unsplit_bytes;
    progress_.line(fmt::format(
        "memory       budget {}; unsplit would need {}; micro-batch of {}{}: "
        "{}",
        format_bytes(plan_->budget_bytes),
        format_bytes(plan_->unsplit_bytes),
        chosen.max_samples,
        chosen.recompute ? " with checkpointing" : "",
        format_bytes(plan_->peak_bytes)));
  }
  runner_.emplace(
      window_,
      task_.batching(chosen),
      options.checkpointing == Checkpointing::kAuto,
      task_.budget().memory());
  summary_.checkpointing = chosen.recompute;
  summary_.micro_batch = std::min(chosen.max_samples, task_.global_batch());
}

void Run::finish() {
  summary_.steps = cursor_.step;
  summary_.total_steps = task_.total_steps();
  const bool early = cursor_.step < summary_.total_steps;
  const bool stopped = early && validation_.stops();
  summary_.signal = early ? summary_.signal : 0;
  summary_.out_of_patience = stopped;
  summary_.out_of_time &= early && !stopped && summary_.signal == 0;
  summary_.best = validation_.best();
  if (summary_.signal == 0) {
    if (task_.options().keep_best) {
      progress_.line(validation_.restore_best(cursor_.step));
    }
    save_result(task_);
  }
  write_report(task_.options().out);
  summary_.resident_peak_bytes = device::peak_resident_bytes();
  summary_.device_peak_bytes = task_.device().is_cpu()
      ? 0
      : summary_.device_peak_bytes + task_.budget().memory().program();
}

bool needs_plan(const TrainOptions& options) {
  // A micro-batch given without a budget is taken as it is.
  return options.memory || !options.micro_batch;
}

TrainSummary train(
    Task& task,
    report::Progress& progress,
    const OnStep& on_step,
    const std::optional<drive::FitTable>& known,
    Clock::time_point started) {
  return Run(task, progress, on_step, started).run(known);
}

} // namespace accrue
