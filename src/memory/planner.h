#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace accrue::memory {

/// How the micro-batches of a window are run.
struct Way {
  int64_t micro_batch = 0; // samples
  bool checkpointing = false;
  bool operator==(const Way&) const = default;
};

/// One real forward and backward over samples of the longest length, thrown
/// away. With no samples: what is there in between.
struct Probe {
  Way way;
  uint64_t tensor_bytes = 0; // peak
  double seconds = 0;
};

/// Measured peak memory and time of micro-batches of the longest samples, and
/// what follows for sizes in between and beyond.
struct FitTable {
  /// What the process takes beside tensors.
  uint64_t program_bytes = 0;
  /// Clip, optimizer step and zeroing.
  double commit_seconds = 0;
  /// By growing micro-batch within each of the two ways of checkpointing.
  std::vector<Probe> probes;

  const Probe* find(const Way& way) const;
  /// Whether there are probes of this way: no samples, one, perhaps more.
  bool measured(bool checkpointing) const;

  /// Peak of the process: measured, or on the line through the two nearest
  /// probes. For ways that were measured.
  uint64_t peak(const Way& way) const;

  /// Bytes per further sample, from the two largest probes.
  uint64_t bytes_per_sample(bool checkpointing) const;

  /// Largest micro-batch whose peak is within `budget_bytes`; 0 = none.
  int64_t largest(bool checkpointing, uint64_t budget_bytes) const;

  /// A window of `global_batch` samples, commit included.
  double step_seconds(const Way& way, int64_t global_batch) const;

  /// The fastest way that was measured and fits. Of ways within 2 % of each
  /// other, the one that takes least memory.
  std::optional<Way> fastest(uint64_t budget_bytes, int64_t global_batch) const;

  /// Sizes worth measuring after `micro_batch`, which fits: twice as many, or
  /// what fits, up to `limit`. `micro_batch` itself if there is nothing left.
  int64_t next(const Way& way, uint64_t budget_bytes, int64_t limit) const;
};

} // namespace accrue::memory
