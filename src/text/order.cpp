// SPDX-License-Identifier: Apache-2.0
#include "text/order.h"

#include <algorithm>
#include <cmath>

#include "accrue/core/random.h"

namespace accrue {

SampleOrder::SampleOrder(const std::vector<Part>& parts, uint64_t seed)
    : seed_(seed) {
  double sum = 0;
  for (const Part& part : parts) {
    sum += part.share;
  }
  double before = 0;
  Source source;
  for (size_t i = 0; i < parts.size(); ++i) {
    before += parts[i].share;
    source.num_samples = parts[i].num_samples;
    source.seed = i == 0 ? seed : mix(seed, ~uint64_t{i});
    // Ends are rounded instead of shares, so that they add up to the block.
    source.end = static_cast<uint64_t>(
        std::llround(before / sum * static_cast<double>(kBlock)));
    sources_.push_back(source);
    source.first += source.num_samples;
    source.begin = source.end;
  }
}

uint64_t SampleOrder::at(uint64_t position) const {
  const Source* source = &sources_.front();
  if (sources_.size() > 1) {
    uint64_t block = position / kBlock;
    uint64_t slot = Permutation(kBlock, mix(seed_, ~block))(position % kBlock);
    while (slot >= source->end) {
      ++source;
    }
    position = block * (source->end - source->begin) + slot - source->begin;
  }
  uint64_t epoch = position / source->num_samples;
  return source->first +
      Permutation(source->num_samples, mix(source->seed, epoch))(
             position % source->num_samples);
}

} // namespace accrue
