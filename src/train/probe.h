#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

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
  /// What to_json() made of a fit table. One of the same model, length, dtype,
  /// threads, budget and version spares the probes; any other is ignored.
  std::string known;
  /// Told of every size that was measured.
  ProgressCallback tick;
};

/// Probes and chooses the fastest way that fits the budget. From here on
/// tensors are held to the budget. Parameters and window are left as they
/// were. Throws MemoryError that says what is missing if one sample, or the
/// micro-batch asked for, does not fit.
MemoryPlan plan_memory(
    const Task& task,
    Window& window,
    const PlanOptions& options = {});

/// A fit table and what it depends on.
std::string to_json(const Task& task, const memory::FitTable& table);

/// Where a run keeps its fit table.
inline std::filesystem::path fit_table_path(const TrainOptions& options) {
  return std::filesystem::path(options.out) / "fit-table.json";
}

} // namespace accrue
