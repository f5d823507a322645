#pragma once

#include <cstdint>

#include "memory/planner.h"
#include "train/task.h"

namespace accrue {

/// What a run needs, from real forward and backward passes at its longest
/// length, thrown away.
struct MemoryPlan {
  memory::FitLine line; // peak of the process over samples per micro-batch
  uint64_t budget_bytes = 0;
  int64_t micro_batch = 0; // chosen, or as asked for
  double seconds_per_sample = 0; // forward and backward
  uint64_t unsplit_bytes = 0; // the whole global batch at once
};

/// Probes and chooses: the largest micro-batch within the budget, but no more
/// than kEnoughTokens tokens. Parameters, optimizer and window are left as
/// they were. Throws MemoryError if one sample, or the micro-batch asked for,
/// does not fit.
MemoryPlan plan_memory(const Task& task, Window& window);

/// Tokens in a micro-batch beyond which more samples at once are not faster on
/// a CPU.
constexpr int64_t kEnoughTokens = 4096;

} // namespace accrue
