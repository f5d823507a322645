#pragma once

#include <utility>

#include "tensor/isa/vector.h"

namespace accrue::tensor::ACCRUE_ISA {

/// rows[i][j] <-> rows[j][i]; stage by stage, each of which exchanges blocks of
/// `step` words between rows that are `step` apart.
template <class V, int64_t lanes, int64_t step, size_t... lane>
ACCRUE_INLINE void exchange(V (&rows)[lanes], std::index_sequence<lane...>) {
  using Index = std::conditional_t<sizeof(V) / lanes == 8, uint64_t, uint32_t>;
  using Lanes = Vector<Index>;
  constexpr Index kStep = step;
  const Lanes low = {
      ((lane & kStep) == 0 ? Index{lane} : Index{lanes + lane - kStep})...};
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; ++i) {
    if ((i & step) == 0) {
      V first = __builtin_shuffle(rows[i], rows[i + step], low);
      V second = __builtin_shuffle(rows[i], rows[i + step], low + kStep);
      rows[i] = first;
      rows[i + step] = second;
    }
  }
  if constexpr (step > 1) {
    exchange<V, lanes, step / 2>(rows, std::index_sequence<lane...>{});
  }
}
template <class V, int64_t lanes>
ACCRUE_INLINE void transpose(V (&rows)[lanes]) {
  exchange<V, lanes, lanes / 2>(rows, std::make_index_sequence<lanes>{});
}

} // namespace accrue::tensor::ACCRUE_ISA
