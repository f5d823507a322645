#pragma once

#include <cstdint>
#include <filesystem>

#include "memory/planner.h"
#include "train/task.h"

namespace accrue {

/// How a run is going to use memory, from real forward and backward passes at
/// its longest length, thrown away.
struct MemoryPlan {
  memory::FitTable table;
  memory::Way way; // chosen, or as asked for
  uint64_t budget_bytes = 0;
  uint64_t peak_bytes = 0; // of the process, predicted
  uint64_t unsplit_bytes = 0; // the whole global batch at once
  double step_seconds = 0; // a full window
};

/// What to measure.
struct PlanOptions {
  /// Also the ways that the settings or the budget make pointless: for show.
  bool everything = false;
  /// A fit table of the same model, length, dtype, threads, budget and
  /// version in this file spares the probes.
  std::filesystem::path cache;
  /// Told of every size that was measured.
  report::Tick tick;
};

/// Probes and chooses the fastest way that fits the budget. From here on
/// tensors are held to the budget. Parameters and window are left as they
/// were. Throws MemoryError that says what is missing if one sample, or the
/// micro-batch asked for, does not fit.
MemoryPlan plan_memory(
    const Task& task,
    Window& window,
    const PlanOptions& options = {});

/// Writes the table where plan_memory() finds it.
void save_fit_table(
    const Task& task,
    const memory::FitTable& table,
    const std::filesystem::path& path);

/// Smallest budget that plan_memory() would accept for this way.
uint64_t smallest_budget(const memory::FitTable& table, bool checkpointing);

} // namespace accrue
