// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/cpu/isa/vector.h"

namespace accrue::tensor::ACCRUE_ISA {

/// Reads element `index` of a row.
struct Scalars {
  int64_t index;

  template <class T>
  ACCRUE_INLINE auto operator()(const T* row) const {
    return widen(row[index]);
  }
};
/// Reads the vector that starts at element `index` of a row.
struct Vectors {
  int64_t index;

  template <class T>
  ACCRUE_INLINE auto operator()(const T* row) const {
    return load_wide(row + index);
  }
};

/// Sums over a row of `count` elements in an order that does not depend on the
/// width of registers: element i is added to lane i mod (64 bytes of S), in
/// turn, and halves of the lanes are added until one is left. add(read, sum)
/// returns sum + the terms of the elements that read(row) returns.
template <class S, class Add>
ACCRUE_INLINE S sum_of(int64_t count, const Add& add) {
  constexpr int64_t kFixed = 64 / int64_t{sizeof(S)};
  constexpr int64_t kParts = kFixed / kLanes<S>;
  Vector<S> sums[kParts] = {};
  int64_t i = 0;
  for (; i + kFixed <= count; i += kFixed) {
#pragma GCC unroll 8
    for (int64_t p = 0; p < kParts; ++p) {
      sums[p] = add(Vectors{i + p * kLanes<S>}, sums[p]);
    }
  }
  S lanes[kFixed];
  __builtin_memcpy(lanes, sums, sizeof lanes);
  for (int64_t lane = 0; i < count; ++i, ++lane) {
    lanes[lane] = add(Scalars{i}, lanes[lane]);
  }
#pragma GCC unroll 4
  for (int64_t half = kFixed / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) {
      lanes[lane] += lanes[lane + half];
    }
  }
  return lanes[0];
}

} // namespace accrue::tensor::ACCRUE_ISA
