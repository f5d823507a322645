// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

namespace accrue::drive {

/// How a window is split into micro-batches and how they are run. Decides time
/// and memory, never the result.
struct MicroBatching {
  static constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

  /// Most samples at once. A micro-batch has at least one, whatever the limits.
  int64_t max_samples = kUnlimited;
  /// Activation checkpointing: compute activations again in backward.
  bool recompute = false;
  /// Most tokens at once.
  int64_t max_tokens = kUnlimited;

  bool operator==(const MicroBatching&) const = default;
};

} // namespace accrue::drive
