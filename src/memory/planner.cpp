#include "memory/planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "accrue/core/units.h"

namespace accrue::memory {

FitLine fit(const Probe& smaller, const Probe& larger) {
  auto extra = static_cast<uint64_t>(larger.micro_batch - smaller.micro_batch);
  uint64_t rise =
      std::max(larger.peak_bytes, smaller.peak_bytes) - smaller.peak_bytes;
  FitLine line;
  line.bytes_per_sample = std::max<uint64_t>(rise / extra, 1);
  uint64_t variable =
      line.bytes_per_sample * static_cast<uint64_t>(smaller.micro_batch);
  line.fixed_bytes =
      smaller.peak_bytes - std::min(variable, smaller.peak_bytes);
  return line;
}

int64_t largest_that_fits(
    const FitLine& line,
    uint64_t budget_bytes,
    int64_t limit) {
  if (line.peak(1) > budget_bytes) {
    throw MemoryError(fmt::format(
        "[memory] not even one sample fits: it needs {}, the budget is {}, "
        "{} are missing. Raise --memory, or lower --seq-len or take a "
        "smaller model.",
        format_bytes(line.peak(1)),
        format_bytes(budget_bytes),
        format_bytes(line.peak(1) - budget_bytes)));
  }
  auto room = static_cast<int64_t>(
      (budget_bytes - line.fixed_bytes) / line.bytes_per_sample);
  return std::min(room, limit);
}

} // namespace accrue::memory
