// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "accrue/window/split.h"

namespace accrue {

/// The micro-batch that begins at sample `begin`: as many samples as the limits
/// allow, at least one. length(i) is the number of tokens of sample i.
template <class Length>
Range next_micro_batch(
    int64_t begin,
    int64_t num_samples,
    const Length& length,
    int64_t max_tokens,
    int64_t max_samples) {
  Range samples{begin, begin + 1};
  int64_t left = max_tokens - length(begin);
  while (samples.end < num_samples && samples.size() < max_samples) {
    left -= length(samples.end);
    if (left < 0) {
      break;
    }
    ++samples.end;
  }
  return samples;
}

} // namespace accrue
