#pragma once

#include <cstdint>
#include <functional>

namespace accrue::memory {

/// One measured pass over a micro-batch.
struct Probe {
  int64_t micro_batch = 0;
  uint64_t peak_bytes = 0; // of tensors
  double seconds = 0;
};

/// Peak memory as a function of the micro-batch: fixed + slope · samples.
struct FitLine {
  uint64_t fixed_bytes = 0;
  uint64_t bytes_per_sample = 0;

  uint64_t peak(int64_t micro_batch) const {
    return fixed_bytes + bytes_per_sample * static_cast<uint64_t>(micro_batch);
  }
};

/// The line through two probes.
FitLine fit(const Probe& smaller, const Probe& larger);

/// Largest micro-batch whose predicted peak is within `budget_bytes`, at most
/// `limit`. Throws MemoryError saying what is missing if that is none.
int64_t largest_that_fits(
    const FitLine& line,
    uint64_t budget_bytes,
    int64_t limit);

} // namespace accrue::memory
