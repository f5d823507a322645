// SPDX-License-Identifier: Apache-2.0
#include "run/loop.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/clock.h"
#include "device/process.h"
#include "drive/out_of_memory.h"
#include "objectives/batch.h"
#include "report/step_files.h"
#include "run/describe.h"
#include "run/window_of_step.h"

namespace accrue {

TrainSummary Run::run(const std::optional<drive::FitTable>& known) {
  start(known);
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
    summary_.device_peak_bytes =
        std::max(summary_.device_peak_bytes, m.peak_bytes);
    check_ends();
    if (ends() || directory_.checkpoint_is_due(cursor_)) {
      directory_.save(cursor_, *optimizer_);
    }
  }
  finish();
  summary_.seconds = seconds_since(loop_started);
  return summary_;
}

/// Reads the signal once: one that comes later waits for the next window.
void Run::check_ends() {
  summary_.signal = interrupt_.signal();
  const auto& limit = task_.options().max_time;
  summary_.out_of_time = limit && seconds_since(started_) >= limit->value;
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

int64_t Run::evaluation_tokens() const {
  return std::min(runner_->batching().max_tokens, kEvaluationTokens);
}

void Run::validate(report::StepMetrics& m) {
  const int64_t every = task_.options().eval_every;
  const bool due =
      m.step == task_.total_steps() || (every > 0 && m.step % every == 0);
  if (task_.valid_set() != nullptr && due) {
    drive::with_fewer_tokens(
        evaluation_tokens(), "a validation sample", [&](int64_t tokens) {
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

} // namespace accrue
