#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace accrue {

/// In which order samples are seen: endless epochs, each a permutation of its
/// own. A pure function of (seed, position): O(1) to seek, nothing to replay.
///
/// Of a mixture, kBlock positions in a row hold each part by its share, in an
/// order of the block's own. Every part goes through its own epochs.
class SampleOrder {
 public:
  static constexpr uint64_t kBlock = 10'000;

  struct Part {
    uint64_t num_samples = 0; // > 0
    double share = 1; // of the positions; relative to the sum of all shares
  };

  /// The samples of the parts are numbered one part after another.
  SampleOrder(const std::vector<Part>& parts, uint64_t seed);

  /// Index of the sample at `position`, counted over all epochs.
  uint64_t at(uint64_t position) const;

  /// Positions of a block that belong to part `index`.
  uint64_t in_block(size_t index) const {
    return sources_[index].end - sources_[index].begin;
  }

 private:
  struct Source {
    uint64_t first = 0; // sample
    uint64_t num_samples = 0;
    uint64_t seed = 0;
    uint64_t begin = 0; // in a block
    uint64_t end = 0;
  };
  std::vector<Source> sources_;
  uint64_t seed_;
};

} // namespace accrue
