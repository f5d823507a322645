// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "accrue/core/units.h"
#include "core/clock.h"
#include "device/process.h"
#include "drive/out_of_memory.h"
#include "objectives/batch.h"
#include "report/step_files.h"
#include "run/describe.h"
#include "run/interrupt.h"
#include "run/result.h"
#include "run/run_directory.h"
#include "run/trainer.h"
#include "run/validation.h"
#include "run/watch.h"
#include "run/window_of_step.h"

// The loop of a run, from start or resume to its end.

namespace accrue {
namespace {

class Run {
 public:
  Run(Task& task,
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

  TrainSummary run(const std::string& fit_table);

 private:
  void start(const std::string& fit_table);
  void plan(const std::string& fit_table);
  report::StepMetrics step();
  void validate(report::StepMetrics& m);
  void warn(report::StepMetrics& m);
  bool ends() const;
  void finish();

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
};

TrainSummary Run::run(const std::string& fit_table) {
  start(fit_table);
  report::StepFiles files(
      task_.options().out, cursor_.step, task_.options().tensorboard);
  for (const report::StepMetrics& done : files.done()) {
    validation_.recall(done);
    watch_.look(done);
  }
  const auto loop_started = Clock::now();
  const int64_t first = cursor_.step;
  const int64_t total = task_.total_steps();
  while (!ends()) {
    report::StepMetrics m = step();
    ++cursor_.step;
    validate(m);
    directory_.check_lock();
    validation_.note(m);
    files.append(m);
    const double pace =
        seconds_since(loop_started) / static_cast<double>(cursor_.step - first);
    progress_.line(report::step_line(
        m, total, pace * static_cast<double>(total - cursor_.step)));
    on_step_(m);
    summary_.first_loss = summary_.first_loss.value_or(m.loss);
    summary_.last_loss = m.loss;
    // Read once: a signal that comes later waits for the next window.
    summary_.signal = interrupt_.signal();
    const auto& limit = task_.options().max_time;
    summary_.out_of_time = limit && seconds_since(started_) >= limit->value;
    if (ends() || directory_.checkpoint_is_due(cursor_)) {
      directory_.save(cursor_, *optimizer_);
    }
  }
  finish();
  summary_.seconds = seconds_since(loop_started);
  return summary_;
}

bool Run::ends() const {
  return cursor_.step >= task_.total_steps() || summary_.signal != 0 ||
      summary_.out_of_time || validation_.stops();
}

/// One optimizer step, with the figures of its window.
report::StepMetrics Run::step() {
  const auto started = Clock::now();
  optimizer_->set_learning_rate(task_.learning_rate(cursor_.step));
  WindowOfStep work(task_, cursor_.step, progress_);
  const drive::WindowResult result =
      runner_->run(work, {.clip_norm = task_.options().clip_norm});
  report::StepMetrics m{
      .step = cursor_.step + 1,
      .loss = result.report.loss,
      .lr = optimizer_->learning_rate(),
      .grad_norm = result.report.grad_norm,
      .samples = work.num_samples(),
      .tokens = result.totals.tokens,
      .target_tokens = result.totals.target_tokens,
      .micro_batch = result.micro_batch,
      .accumulation_steps = result.accumulation_steps,
      .skipped = result.skipped,
      .rollbacks = result.rollbacks};
  task_.objective().report(result.totals.figures, result.report.weight, m);
  warn(m); // while the weights are those of its losses
  window_.step(*optimizer_);
  m.step_s = seconds_since(started);
  m.tokens_per_s = static_cast<double>(m.tokens) / m.step_s;
  m.peak_bytes =
      std::max(result.peak_bytes, task_.budget().memory().max_allocated());
  m.resident_peak_bytes = device::peak_resident_bytes();
  return m;
}

void Run::validate(report::StepMetrics& m) {
  const int64_t every = task_.options().eval_every;
  const bool due =
      m.step == task_.total_steps() || (every > 0 && m.step % every == 0);
  if (task_.valid_set() != nullptr && due) {
    drive::with_fewer_tokens(
        std::min(runner_->batching().max_tokens, kEvaluationTokens),
        "a validation sample",
        [&](int64_t tokens) {
          task_.objective().validate(
              task_.model(),
              *task_.valid_set(),
              tokens,
              progress_.callback(),
              m);
        });
  }
}

void Run::warn(report::StepMetrics& m) {
  m.warnings = watch_.look(m);
  for (std::string& warning : m.warnings) {
    warning += "; " + worst_samples(task_, m.step - 1);
    progress_.line(fmt::format("warning: step {}: {}", m.step, warning));
  }
}

void Run::start(const std::string& fit_table) {
  plan(fit_table);
  optimizer_ = task_.make_optimizer(); // after probes, which make their own
  directory_.lock();
  const int64_t tokens =
      std::min(runner_->batching().max_tokens, kEvaluationTokens);
  cursor_ = directory_.begin_or_resume(*optimizer_, tokens);
  directory_.write_settings(plan_ ? &plan_->table : nullptr);
  describe(task_, runner_->batching(), progress_);
}

void Run::plan(const std::string& fit_table) {
  const TrainOptions& options = task_.options();
  drive::MicroBatching chosen{
      .max_samples = options.micro_batch.value_or(0),
      .recompute = options.checkpointing == Checkpointing::kOn};
  if (!needs_plan(options)) {
    task_.budget().limit_tensors(task_.budget().memory().program());
  } else {
    plan_ = plan_memory(
        task_, window_, {.known = fit_table, .tick = progress_.callback()});
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
      options.checkpointing == Checkpointing::kAuto);
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
}

} // namespace

bool needs_plan(const TrainOptions& options) {
  // A micro-batch given without a budget is taken as it is.
  return options.memory || !options.micro_batch;
}

TrainSummary train(
    Task& task,
    report::Progress& progress,
    const OnStep& on_step,
    const std::string& fit_table,
    Clock::time_point started) {
  return Run(task, progress, on_step, started).run(fit_table);
}

} // namespace accrue
