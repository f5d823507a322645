// SPDX-License-Identifier: Apache-2.0
#include "run/prober.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "drive/out_of_memory.h"
#include "run/window_of_step.h"

namespace accrue {
namespace {

/// Sizes of micro-batches that matter on a device, in tokens.
struct Sizes {
  int64_t enough; // more at once are hardly faster
  int64_t plenty; // recomputation gains nothing
};
constexpr Sizes kCpuSizes{4096, 1024};
constexpr Sizes kGpuSizes{65536, 8192};

const Sizes& sizes_of(const Task& task) {
  return task.device().is_cpu() ? kCpuSizes : kGpuSizes;
}

/// Planning ends after three optimizer steps or this, whichever is more.
constexpr double kPlanningSeconds = 20;
constexpr double kPlanningSteps = 3;

/// Passes are repeated until their times are worth comparing.
constexpr double kEnoughSeconds = 0.3;
constexpr int kMaxPasses = 8;

/// Bytes named as missing where not even a short sample fits.
constexpr uint64_t kLeastMissing = uint64_t{1} << 20;

} // namespace

Prober::Prober(const Task& task, Window& window, const ProgressCallback& tick)
    : task_(task),
      window_(window),
      tick_(tick),
      budget_(task.budget()),
      memory_(task.budget().memory()),
      runner_(window, {}, /*may_recompute=*/false, memory_),
      length_(task.train_set().max_length()),
      started_(std::chrono::steady_clock::now()) {
  table_.grain = std::clamp<int64_t>(
      task.grain_tokens() / length_, 1, task.global_batch());
}

drive::FitTable Prober::measure(bool everything) {
  const Checkpointing mode = task_.options().checkpointing;
  budget_.limit_tensors(memory_.program());
  if (everything || mode != Checkpointing::kOn) {
    measure_sizes(/*recompute=*/false);
  }
  const int64_t plenty = std::min(
      task_.global_batch(),
      std::max(table_.grain, sizes_of(task_).plenty / length_));
  const bool constrained =
      table_.largest(/*recompute=*/false, budget_.usable()) < plenty;
  if (everything || mode == Checkpointing::kOn ||
      (mode == Checkpointing::kAuto && constrained)) {
    measure_sizes(/*recompute=*/true);
  }
  return std::move(table_);
}

/// Runs one pass. Returns nullopt if memory does not suffice.
std::optional<drive::Probe> Prober::run(
    const drive::MicroBatching& batching,
    int64_t length) {
  const auto failure = drive::out_of_memory([&] {
    if (!optimizer_) {
      optimizer_ = task_.make_optimizer();
    }
  });
  if (failure) {
    return std::nullopt;
  }
  LongestSamples work(task_, batching.max_samples, length);
  runner_.set_batching(batching);
  const auto result = runner_.try_once(work);
  window_.begin();
  if (!result) {
    return std::nullopt;
  }
  return drive::Probe{batching, result->peak_bytes, result->seconds};
}

/// Repeats a pass until its time is worth comparing.
std::optional<drive::Probe> Prober::run_timed(
    const drive::MicroBatching& batching) {
  std::optional<drive::Probe> probe = run(batching, length_);
  double total = probe ? probe->seconds : 0;
  int passes = 1;
  while (probe && total < kEnoughSeconds && passes < kMaxPasses) {
    probe = run(batching, length_);
    total += probe ? probe->seconds : 0;
    ++passes;
  }
  if (probe) {
    probe->seconds = total / passes;
  }
  return probe;
}

/// Measures growing sizes. Each is run once before it is timed, because its
/// pages are fresh the first time.
void Prober::measure_sizes(bool recompute) {
  const int64_t limit = std::min(
      task_.global_batch(),
      std::max(table_.grain, sizes_of(task_).enough / length_));
  memory_.empty_cache(); // of larger sizes with another setting
  drive::MicroBatching batching{table_.grain, recompute};
  if (!measure_first(batching)) {
    return;
  }
  table_.probes.push_back({{0, recompute}, memory_.allocated(), 0});
  while (auto probe = run_timed(batching)) {
    table_.probes.push_back(*probe);
    const int64_t size = table_.next(batching, budget_.usable(), limit);
    if (size == batching.max_samples || exceeds_time_limit(*probe, size)) {
      break;
    }
    batching.max_samples = size;
    if (!run(batching, length_)) {
      break;
    }
    if (tick_) {
      tick_(
          "planning",
          static_cast<uint64_t>(size),
          static_cast<uint64_t>(limit));
    }
  }
}

/// Measures one grain, and the commit once. Afterwards all code has run and
/// all lasting tensors are written, so the size of the program is known.
bool Prober::measure_first(const drive::MicroBatching& one) {
  if (!run(one, length_)) {
    return false;
  }
  if (committed_) {
    return true;
  }
  measure_commit();
  table_.program_bytes = memory_.program();
  budget_.limit_tensors(table_.program_bytes);
  return run(one, length_).has_value();
}

/// True if two passes of `size` samples would exceed the time for planning.
bool Prober::exceeds_time_limit(const drive::Probe& probe, int64_t size) const {
  const double sample_seconds =
      probe.seconds / static_cast<double>(probe.batching.max_samples);
  const double step =
      sample_seconds * static_cast<double>(task_.global_batch());
  return seconds_since(started_) +
      2 * sample_seconds * static_cast<double>(size) >
      std::max(kPlanningSeconds, kPlanningSteps * step);
}

/// Times an update that changes nothing: its learning rate is 0 and its state
/// is dropped.
void Prober::measure_commit() {
  at::NoGradGuard no_grad;
  optimizer_->set_learning_rate(0);
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : optimizer_->parameters()) {
    // Ones, because zeros would give 0 / 0 if epsilon is 0.
    gradients.push_back(parameter.grad().fill_(1));
  }
  const auto start = std::chrono::steady_clock::now();
  optimizer_->step(gradients);
  window_.begin();
  table_.commit_seconds = seconds_since(start);
  committed_ = true;
}

Prober::Minimum Prober::estimate_minimum(bool recompute) {
  std::optional<drive::Probe> shorter;
  int64_t shorter_length = 0;
  for (int64_t length = std::max<int64_t>(1, length_ / 64);; length *= 2) {
    auto probe = length < length_ ? run({1, recompute}, length) : std::nullopt;
    if (!probe) {
      return extrapolate(shorter, shorter_length);
    }
    idle_bytes_ = memory_.allocated();
    shorter = probe;
    shorter_length = length;
  }
}

Prober::Minimum Prober::extrapolate(
    const std::optional<drive::Probe>& shorter,
    int64_t shorter_length) const {
  const uint64_t program = memory_.program();
  if (!shorter) {
    return {
        .bytes = std::max(
            device::Budget::needed_for(program + memory_.allocated()),
            budget_.total() + kLeastMissing)};
  }
  const double per_token =
      static_cast<double>(shorter->tensor_bytes - idle_bytes_) /
      static_cast<double>(shorter_length);
  return {
      .bytes = device::Budget::needed_for(
          program + idle_bytes_ +
          static_cast<uint64_t>(
              per_token * static_cast<double>(table_.grain * length_))),
      .fitting_length = shorter_length};
}

} // namespace accrue
