// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "drive/micro_batching.h"

namespace accrue::drive {

/// One real forward and backward over samples of the longest length, gradients
/// discarded. max_samples == 0: the baseline between micro-batches, in no time.
struct Probe {
  MicroBatching batching; // max_tokens is not looked at
  uint64_t tensor_bytes = 0; // peak
  double seconds = 0;
};

/// Measured peak memory and time of micro-batches of the longest samples, and
/// what follows for sizes in between and beyond.
struct FitTable {
  /// Bytes that the process takes beside tensors.
  uint64_t program_bytes = 0;
  /// Time of clipping, optimizer step and zeroing.
  double commit_seconds = 0;
  /// Samples of the longest length in a grain; micro-batches have whole grains.
  int64_t grain = 1;
  /// By growing micro-batch, without and with recomputation.
  std::vector<Probe> probes;

  const Probe* find(const MicroBatching& batching) const;
  /// Whether there are probes with or without recomputation: the baseline, one
  /// grain, perhaps more.
  bool measured(bool recompute) const;

  /// Peak of the process: measured, or on the line through the two nearest
  /// probes of the same recomputation.
  uint64_t peak(const MicroBatching& batching) const;

  /// Bytes per further sample, from the two largest probes.
  uint64_t bytes_per_sample(bool recompute) const;

  /// Largest micro-batch of whole grains whose peak is within `budget_bytes`; 0
  /// = none.
  int64_t largest(bool recompute, uint64_t budget_bytes) const;

  /// Seconds for a window of `global_batch` samples, commit included.
  double step_seconds(const MicroBatching& batching, int64_t global_batch)
      const;

  /// The fastest micro-batch that was measured and fits; of those within 2 % of
  /// each other, the one that takes least memory.
  std::optional<MicroBatching> fastest(
      uint64_t budget_bytes,
      int64_t global_batch) const;

  /// Size worth measuring after `batching`, which fits: twice as many samples,
  /// or as many as fit, up to `limit`; the same size if there is nothing left.
  int64_t next(
      const MicroBatching& batching,
      uint64_t budget_bytes,
      int64_t limit) const;
};

} // namespace accrue::drive
