// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "tensor/cpu/isa/vector.h"

namespace accrue::tensor::ACCRUE_ISA {

/// Number of lanes in 128 bits, within which every instruction set can move any
/// lane to any other.
template <class V>
inline constexpr int64_t kQuarter = 16 / int64_t{sizeof(V{}[0])};

/// Returns the lanes of these numbers, which count on from the first vector to
/// the second.
template <class V, int64_t... lane>
ACCRUE_INLINE V pick(V first, V second) {
  using Index = std::conditional_t<sizeof(V{}[0]) == 8, int64_t, int32_t>;
  return __builtin_shuffle(
      first, second, Vector<Index>{static_cast<Index>(lane)...});
}

/// Exchanges blocks of `step` lanes between rows that are `step` apart.
template <int64_t step, class V, int64_t lanes, int64_t... lane>
ACCRUE_INLINE void exchange(
    V (&rows)[lanes],
    std::integer_sequence<int64_t, lane...>) {
  // Source of lane l of the first row; that of the second row is `step` higher.
  constexpr auto from = [](int64_t l) {
    return l + ((l & step) == 0 ? 0 : lanes - step);
  };
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; ++i) {
    if ((i & step) == 0) {
      V first = rows[i];
      V second = rows[i + step];
      rows[i] = pick<V, from(lane)...>(first, second);
      rows[i + step] = pick<V, from(lane) + step...>(first, second);
    }
  }
}

/// Sorts even lanes before odd ones in each quarter (kQuarter lanes) of each
/// group of kQuarter rows: the even lanes of two adjacent rows become a row of
/// the group's first half, the odd lanes a row of its second half.
template <class V, int64_t lanes, int64_t... lane>
ACCRUE_INLINE void deal(
    V (&rows)[lanes],
    std::integer_sequence<int64_t, lane...>) {
  constexpr int64_t q = kQuarter<V>;
  // Source of lane l among the even lanes; the odd one is 1 higher.
  constexpr auto from = [](int64_t l) {
    return l / q * q + 2 * l % q + (l % q < q / 2 ? 0 : lanes);
  };
#pragma GCC unroll 16
  for (int64_t group = 0; group < lanes; group += q) {
    V before[q];
#pragma GCC unroll 4
    for (int64_t i = 0; i < q; ++i) {
      before[i] = rows[group + i];
    }
#pragma GCC unroll 2
    for (int64_t i = 0; i < q / 2; ++i) {
      V first = before[2 * i];
      V second = before[2 * i + 1];
      rows[group + i] = pick<V, from(lane)...>(first, second);
      rows[group + q / 2 + i] = pick<V, from(lane) + 1 ...>(first, second);
    }
  }
}

/// Returns {half a vector at `low`, half a vector at `high`}.
template <class T>
ACCRUE_INLINE Vector<T> join(const T* low, const T* high) {
  return [&]<int... lane>(std::integer_sequence<int, lane...>) {
    using Half __attribute__((vector_size(kVectorBytes / 2))) = T;
    return __builtin_shufflevector(load<Half>(low), load<Half>(high), lane...);
  }
  (std::make_integer_sequence<int, kLanes<T>>{});
}

/// Exchanges rows[i][j] and rows[j][i]. If `kHalves`, the rows come joined: row
/// i of the first half consists of the low halves of rows i and i + lanes / 2,
/// row i + lanes / 2 of their high halves.
template <bool kHalves = false, class V, int64_t lanes>
ACCRUE_INLINE void transpose(V (&rows)[lanes]) {
  constexpr auto all = std::make_integer_sequence<int64_t, lanes>{};
  if constexpr (lanes / 2 >= kQuarter<V> && !kHalves) {
    exchange<lanes / 2>(rows, all);
  }
  if constexpr (lanes / 4 >= kQuarter<V>) {
    exchange<lanes / 4>(rows, all);
  }
  deal(rows, all);
  if constexpr (kQuarter<V> == 4) {
    deal(rows, all);
  }
}

} // namespace accrue::tensor::ACCRUE_ISA
