// SPDX-License-Identifier: Apache-2.0
#include "run/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "run/prober.h"

namespace accrue {
namespace {

constexpr double kMiB = 1 << 20;

[[noreturn]] void throw_does_not_fit(const Task& task, Prober& prober) {
  const TrainOptions& options = task.options();
  const bool may_recompute = options.checkpointing != Checkpointing::kOff;
  const Prober::Minimum minimum = prober.estimate_minimum(may_recompute);
  std::string ways = fmt::format(
      "Raise --memory to {:.0f}MiB",
      std::ceil(static_cast<double>(minimum.bytes) / kMiB));
  if (!may_recompute) {
    const Prober::Minimum less = prober.estimate_minimum(/*recompute=*/true);
    if (less.bytes < minimum.bytes) {
      ways += fmt::format(
          ", or pass --checkpointing auto (about {})",
          format_bytes(less.bytes));
    }
  }
  if (minimum.fitting_length > 0) {
    ways += fmt::format(
        ", or shorten samples (--seq-len {} fits)", minimum.fitting_length);
  }
  if (options.dtype != Dtype::kBf16) {
    ways += ", or pass --dtype bf16";
  }
  const uint64_t budget = task.budget().total();
  throw MemoryError(fmt::format(
      "[memory] not even one sample fits: sample {}, the longest with {} "
      "tokens, needs {} {}, the budget is {}, {} are missing. {}.",
      task.train_set().sample(task.train_set().longest()).id,
      task.train_set().max_length(),
      minimum.fitting_length > 0 ? "about" : "more than",
      format_bytes(minimum.bytes),
      format_bytes(budget),
      format_bytes(minimum.bytes - std::min(minimum.bytes, budget)),
      ways));
}

void check_fits(const device::Budget& budget, const MemoryPlan& plan) {
  if (budget.fits(plan.peak_bytes)) {
    return;
  }
  throw MemoryError(fmt::format(
      "[memory] --micro-batch {} needs {}, the budget is {}. The largest that "
      "fits is {}; leave the flag out to have it planned.",
      plan.batching.max_samples,
      format_bytes(plan.peak_bytes),
      format_bytes(plan.budget_bytes),
      plan.table.largest(plan.batching.recompute, budget.usable())));
}

/// The probes that the setting of activation checkpointing allows.
drive::FitTable allowed_part(const drive::FitTable& table, Checkpointing mode) {
  drive::FitTable allowed = table;
  std::erase_if(allowed.probes, [&](const drive::Probe& probe) {
    return mode ==
        (probe.batching.recompute ? Checkpointing::kOff : Checkpointing::kOn);
  });
  return allowed;
}

} // namespace

MemoryPlan plan_memory(
    const Task& task,
    Window& window,
    const PlanOptions& options) {
  device::Budget& budget = task.budget();
  Prober prober(task, window, options.tick);
  MemoryPlan plan;
  plan.budget_bytes = budget.total();
  plan.table =
      options.known ? *options.known : prober.measure(options.everything);
  const drive::FitTable allowed =
      allowed_part(plan.table, task.options().checkpointing);
  const auto fastest = allowed.fastest(budget.usable(), task.global_batch());
  if (!fastest) {
    throw_does_not_fit(task, prober);
  }
  plan.batching = *fastest;
  if (const auto& asked = task.options().micro_batch) {
    const int64_t grain = plan.table.grain;
    plan.batching.max_samples = std::min(
        std::max(*asked / grain, int64_t{1}) * grain, task.global_batch());
    plan.batching.recompute = false;
    const bool fits = allowed.measured(/*recompute=*/false) &&
        budget.fits(allowed.peak(plan.batching));
    plan.batching.recompute = !fits && allowed.measured(/*recompute=*/true);
  }
  budget.limit_tensors(plan.table.program_bytes);
  plan.peak_bytes = plan.table.peak(plan.batching);
  plan.step_seconds =
      plan.table.step_seconds(plan.batching, task.global_batch());
  plan.unsplit_bytes = plan.table.peak(
      {task.global_batch(), !plan.table.measured(/*recompute=*/false)});
  check_fits(budget, plan);
  return plan;
}

} // namespace accrue
