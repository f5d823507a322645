#include "train/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "memory/meter.h"

namespace accrue {
namespace {

constexpr double kDefaultShare = 0.8;
constexpr int64_t kProbeTokens = 1024;

memory::Probe probe(const Task& task, Window& window, int64_t micro_batch) {
  memory::reset_peak();
  auto start = std::chrono::steady_clock::now();
  window.add(task.longest_loss(micro_batch));
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  window.begin();
  return {
      .micro_batch = micro_batch,
      .peak_bytes = memory::peak_bytes(),
      .seconds = elapsed.count()};
}

/// What the process takes beside large tensors, with room for what a run needs
/// later and a probe does not: buffers of files, the report, the heap's gaps.
uint64_t program_bytes() {
  constexpr uint64_t kLater = uint64_t{24} << 20;
  return memory::resident_bytes() - memory::held_bytes() + kLater;
}

/// --memory, or 80 % of what the machine or its cgroup has.
uint64_t budget_bytes(const TrainOptions& options) {
  if (options.memory) {
    return options.memory->value;
  }
  return static_cast<uint64_t>(
      static_cast<double>(memory::machine_bytes()) * kDefaultShare);
}

} // namespace

MemoryPlan plan_memory(const Task& task, Window& window) {
  MemoryPlan plan;
  plan.budget_bytes = budget_bytes(task.options());
  // The first use makes gradients and the libraries' own buffers.
  probe(task, window, 1);
  memory::Probe idle{.micro_batch = 0, .peak_bytes = memory::live_bytes()};
  memory::Probe one = probe(task, window, 1);
  // A small sample says little about the slope; take as many as are worth it,
  // but stay within the budget while probing, too.
  plan.line = memory::fit(idle, one);
  plan.line.fixed_bytes += program_bytes();
  int64_t length = task.train_set().max_length();
  int64_t more = std::min(
      memory::largest_that_fits(
          plan.line, plan.budget_bytes, task.global_batch()),
      std::clamp<int64_t>(kProbeTokens / length, 1, 16));
  memory::Probe several = one;
  if (more > 1) {
    several = probe(task, window, more);
    plan.line = memory::fit(one, several);
    plan.line.fixed_bytes += program_bytes();
  }
  plan.seconds_per_sample = several.seconds / static_cast<double>(more);
  plan.unsplit_bytes = plan.line.peak(task.global_batch());
  int64_t limit = std::min(
      task.global_batch(), std::max<int64_t>(kEnoughTokens / length, 1));
  int64_t largest =
      memory::largest_that_fits(plan.line, plan.budget_bytes, limit);
  plan.micro_batch = std::min(
      task.options().micro_batch.value_or(largest), task.global_batch());
  if (plan.line.peak(plan.micro_batch) > plan.budget_bytes) {
    throw MemoryError(fmt::format(
        "[memory] --micro-batch {} needs {}, the budget is {}. The largest "
        "that fits is {}; leave the flag out to have it planned.",
        plan.micro_batch,
        format_bytes(plan.line.peak(plan.micro_batch)),
        format_bytes(plan.budget_bytes),
        largest));
  }
  return plan;
}

} // namespace accrue
