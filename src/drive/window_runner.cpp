// SPDX-License-Identifier: Apache-2.0
#include "drive/window_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "accrue/core/error.h"
#include "core/clock.h"
#include "drive/out_of_memory.h"
#include "window/next_micro_batch.h"

namespace accrue::drive {

Totals& Totals::operator+=(const Totals& other) {
  tokens += other.tokens;
  target_tokens += other.target_tokens;
  figures.resize(std::max(figures.size(), other.figures.size()));
  for (size_t i = 0; i < other.figures.size(); ++i) {
    figures[i] += other.figures[i];
  }
  return *this;
}

int64_t WindowWork::num_tokens(int64_t /*sample*/) const {
  return 1;
}

std::string WindowWork::nonfinite_advice(std::optional<Range>) const {
  return "";
}

WindowRunner::WindowRunner(
    Window& window,
    const MicroBatching& batching,
    bool may_recompute,
    device::DeviceMemory& memory)
    : window_(window),
      batching_(batching),
      may_recompute_(may_recompute),
      memory_(memory) {}

WindowResult WindowRunner::run(WindowWork& work, const CommitOptions& options) {
  int64_t rollbacks = 0;
  std::optional<WindowResult> result;
  while (!(result = try_once(work))) {
    ++rollbacks;
    shrink(work, failure_);
  }
  result->rollbacks = rollbacks;
  try {
    result->report = window_.normalize(options);
  } catch (const NonFiniteError& error) {
    std::optional<Range> samples;
    if (error.micro_batch() >= 0) {
      samples = result->added[static_cast<size_t>(error.micro_batch())];
    }
    throw NonFiniteError(
        error.what() + work.nonfinite_advice(samples), error.micro_batch());
  }
  batching_.on_success();
  return *std::move(result);
}

std::optional<WindowResult> WindowRunner::try_once(WindowWork& work) {
  const auto started = std::chrono::steady_clock::now();
  WindowResult result;
  work.begin_try();
  for (int64_t begin = 0; begin < work.num_samples();) {
    const Range samples = micro_batch_at(work, begin);
    const auto began = std::chrono::steady_clock::now();
    memory_.reset_peak();
    if (auto message = out_of_memory([&] { add(work, samples, result); })) {
      window_.begin();
      memory_.empty_cache(); // its blocks are those of too large tensors
      failure_ = {samples, *std::move(message)};
      return std::nullopt;
    }
    if (work.wants_times()) {
      memory_.synchronize();
    }
    ++result.accumulation_steps;
    result.micro_batch = std::max(result.micro_batch, samples.size());
    const uint64_t peak = memory_.max_allocated();
    result.peak_bytes = std::max(result.peak_bytes, peak);
    work.on_micro_batch({samples, seconds_since(began), peak});
    begin = samples.end;
  }
  result.seconds = seconds_since(started);
  return result;
}

/// Returns the grain that begins at sample `begin`.
Range WindowRunner::grain_at(const WindowWork& work, int64_t begin) const {
  return next_micro_batch(
      begin,
      work.num_samples(),
      [&](int64_t sample) { return work.num_tokens(sample); },
      work.grain_tokens(),
      MicroBatching::kUnlimited);
}

/// Returns as many whole grains as the limits allow, at least one.
Range WindowRunner::micro_batch_at(const WindowWork& work, int64_t begin)
    const {
  const Range most = next_micro_batch(
      begin,
      work.num_samples(),
      [&](int64_t sample) { return work.num_tokens(sample); },
      batching_.current().max_tokens,
      batching_.current().max_samples);
  Range samples = grain_at(work, begin);
  while (samples.end < most.end) {
    const Range next = grain_at(work, samples.end);
    if (next.end > most.end) {
      break;
    }
    samples.end = next.end;
  }
  return samples;
}

void WindowRunner::add(WindowWork& work, Range samples, WindowResult& result) {
  result.added.push_back(samples);
  if (auto totals = work.add(window_, samples, batching_.current().recompute)) {
    result.totals += *totals;
    return;
  }
  if (samples.size() == 1) {
    ++result.skipped;
    return;
  }
  const bool one_grain = grain_at(work, samples.begin).end >= samples.end;
  for (int64_t begin = samples.begin; begin < samples.end;) {
    const Range part =
        one_grain ? Range{begin, begin + 1} : grain_at(work, begin);
    add(work, part, result);
    begin = part.end;
  }
}

/// Halves the micro-batches, or turns recomputation on for a sample alone.
void WindowRunner::shrink(WindowWork& work, const Failure& failure) {
  int64_t tokens = 0;
  for (int64_t i = failure.samples.begin; i < failure.samples.end; ++i) {
    tokens += work.num_tokens(i);
  }
  MicroBatching smaller = batching_.current();
  const Range grain = grain_at(work, failure.samples.begin);
  if (grain.end < failure.samples.end) {
    smaller.max_tokens = tokens / 2;
  } else if (!smaller.recompute && may_recompute_) {
    smaller.recompute = true;
  } else {
    throw MemoryError(fmt::format(
        "[memory] {} does not fit, {}{}: {} {}",
        work.name(failure.samples.begin),
        grain.size() == 1 ? std::string("alone")
                          : fmt::format(
                                "with the {} samples after it that share its "
                                "grain",
                                grain.size() - 1),
        smaller.recompute ? " and with checkpointing" : "",
        failure.message,
        work.memory_advice(smaller.recompute)));
  }
  work.on_rollback(fmt::format(
      "out of memory with {} tokens at once; the window is done again {}",
      tokens,
      smaller.recompute == batching_.current().recompute
          ? fmt::format("in pieces of up to {}", smaller.max_tokens)
          : "with checkpointing"));
  batching_.back_off(smaller);
}

} // namespace accrue::drive
