// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace accrue {

/// Order in which samples are seen: endless epochs, each with a permutation of
/// its own. A pure function of (seed, position), so that seeking is O(1) and
/// nothing has to be replayed.
///
/// With several parts, positions are grouped into blocks of kBlock. A block
/// contains each part by its share, in an order of its own, and every part has
/// its own epochs.
class SampleOrder {
 public:
  static constexpr uint64_t kBlock = 10'000;

  struct Part {
    /// Number of samples, > 0.
    uint64_t num_samples = 0;
    /// Share of the positions, > 0, relative to the sum of all shares.
    double share = 1;
  };

  /// Numbers samples across parts: those of the second part follow those of the
  /// first.
  SampleOrder(const std::vector<Part>& parts, uint64_t seed);

  /// Index of the sample at `position`, counted over all epochs.
  uint64_t at(uint64_t position) const;

  /// Number of positions of a block that belong to part `index`.
  uint64_t in_block(size_t index) const {
    return sources_[index].end - sources_[index].begin;
  }

 private:
  struct Source {
    uint64_t first = 0; // index of its first sample
    uint64_t num_samples = 0;
    uint64_t seed = 0;
    uint64_t begin = 0; // range of positions in a block
    uint64_t end = 0;
  };
  std::vector<Source> sources_;
  uint64_t seed_;
};

} // namespace accrue
