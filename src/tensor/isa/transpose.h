#pragma once

#include <utility>

#include "tensor/isa/vector.h"

namespace accrue::tensor::ACCRUE_ISA {

/// Words of 128 bits, within which every instruction set can pick any.
template <class V>
inline constexpr int64_t kQuarter = 16 / int64_t{sizeof(V{}[0])};

/// Lanes of two vectors, which count on from the first to the second.
template <class V, int64_t... lane>
ACCRUE_INLINE V pick(V first, V second) {
  using Index = std::conditional_t<sizeof(V{}[0]) == 8, int64_t, int32_t>;
  return __builtin_shuffle(
      first, second, Vector<Index>{static_cast<Index>(lane)...});
}

/// Blocks of `step` lanes change places between rows that are `step` apart.
template <int64_t step, class V, int64_t lanes, int64_t... lane>
ACCRUE_INLINE void exchange(
    V (&rows)[lanes],
    std::integer_sequence<int64_t, lane...>) {
  // The lane that one of the first row comes from; of the second: `step` on.
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

/// For each quarter, and each group of as many rows as a quarter has lanes: the
/// even lanes of two neighbours become a row of the group's first half, the odd
/// ones a row of its second half.
template <class V, int64_t lanes, int64_t... lane>
ACCRUE_INLINE void deal(
    V (&rows)[lanes],
    std::integer_sequence<int64_t, lane...>) {
  constexpr int64_t q = kQuarter<V>;
  // The lane that an even one comes from.
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

/// {half a vector at `low`, half a vector at `high`}
template <class T>
ACCRUE_INLINE Vector<T> join(const T* low, const T* high) {
  return [&]<int... lane>(std::integer_sequence<int, lane...>) {
    using Half __attribute__((vector_size(kVectorBytes / 2))) = T;
    return __builtin_shufflevector(load<Half>(low), load<Half>(high), lane...);
  }
  (std::make_integer_sequence<int, kLanes<T>>{});
}

/// rows[i][j] <-> rows[j][i]. Where `kHalves`, the rows of the first half
/// come joined: row i as the low halves of i and i + lanes / 2, the latter as
/// their high halves.
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
