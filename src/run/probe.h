// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "drive/fit_table.h"
#include "run/task.h"

namespace accrue {

/// Micro-batch of a run and its predicted memory and time, from real forward
/// and backward passes at the run's longest length, gradients discarded.
struct MemoryPlan {
  drive::FitTable table;
  drive::MicroBatching batching; // chosen, or as asked for
  uint64_t budget_bytes = 0;
  uint64_t peak_bytes = 0; // of the process, predicted
  uint64_t unsplit_bytes = 0; // the whole global batch at once
  double step_seconds = 0; // a full window
};

struct PlanOptions {
  /// Also measure configurations that this run will not use, for the table of
  /// `accrue plan`.
  bool everything = false;
  /// A fit table measured before, which replaces the probes.
  std::optional<drive::FitTable> known;
  /// Called for every size that was measured.
  ProgressCallback tick;
};

/// Probes and chooses the fastest micro-batch that fits the budget. From then
/// on tensors are limited to the budget. Parameters and window are left as they
/// were. Throws MemoryError with the missing bytes if one sample, or the
/// micro-batch asked for, does not fit.
MemoryPlan plan_memory(
    const Task& task,
    Window& window,
    const PlanOptions& options = {});

} // namespace accrue
