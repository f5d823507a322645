#pragma once

#include <cstdint>

#include "accrue/core/random.h"

namespace accrue {

/// In which order samples are seen: endless epochs, each a permutation of its
/// own. A pure function of (seed, position): O(1) to seek, nothing to replay.
class SampleOrder {
 public:
  SampleOrder(uint64_t num_samples, uint64_t seed)
      : num_samples_(num_samples), seed_(seed) {}

  /// Index of the sample at `position`, counted over all epochs.
  uint64_t at(uint64_t position) const {
    uint64_t epoch = position / num_samples_;
    return Permutation(
        num_samples_, mix(seed_, epoch))(position % num_samples_);
  }

 private:
  uint64_t num_samples_;
  uint64_t seed_;
};

} // namespace accrue
