// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/cpu/isa/vector.h"

// Formats of packed elements. A word is what one column contributes per step in
// k: one element or, for the instruction that multiplies pairs of bf16, two
// that are adjacent in k.

namespace accrue::tensor::ACCRUE_ISA {

/// One element per word, summed in its own type. The sums of a tile of `rows` ×
/// `vectors` stay in registers.
template <Type type, class T, int64_t rows, int64_t vectors>
struct Single {
  static constexpr Type kType = type;
  static constexpr int64_t kPerWord = 1;
  static constexpr int64_t kTileRows = rows;
  static constexpr int64_t kTileVectors = vectors;
  using Word = T;
  using Sum = T;

  ACCRUE_INLINE static Vector<T> madd(T a, Vector<T> b, Vector<T> sum) {
    return fma(splat(a), b, sum);
  }
};

#if defined(__AVX2__) && !defined(__AVX512F__)
inline constexpr int64_t kFloatRows = 6; // 12 sums, 2 vectors of B, 1 of A
inline constexpr int64_t kFloatVectors = 2;
#else
inline constexpr int64_t kFloatRows = kRegisters == 32 ? 8 : 4;
inline constexpr int64_t kFloatVectors = 3;
#endif
using F32 = Single<Type::kF32, float, kFloatRows, kFloatVectors>;
using F64 = Single<Type::kF64, double, kRegisters == 32 ? 8 : 4, 3>;

#if defined(__AVX512BF16__)
/// Pairs with the first element in the high half of a word, because the
/// instruction adds the product of the high halves before that of the low ones,
/// each with a fused multiply-add of its own.
struct Bf16Pair {
  static constexpr Type kType = Type::kBf16;
  static constexpr int64_t kPerWord = 2;
  static constexpr int64_t kTileRows = kFloatRows;
  static constexpr int64_t kTileVectors = kFloatVectors;
  using Word = uint32_t;
  using Sum = float;

  ACCRUE_INLINE static Vector<float> madd(
      uint32_t a,
      Vector<uint32_t> b,
      Vector<float> sum) {
    return (Vector<float>)_mm512_dpbf16_ps(
        (__m512)sum,
        (__m512bh)_mm512_set1_epi32(static_cast<int>(a)),
        (__m512bh)b);
  }
};
using BF16 = Bf16Pair;
#else
/// Values of bf16 in fp32, which take the same chain of fused multiply-adds.
using BF16 = Single<Type::kBf16, float, kFloatRows, kFloatVectors>;
#endif

/// Calls run(pointer to element (row, column)) with the element type of `m`.
template <class F, class Run>
ACCRUE_INLINE void with_element(
    const Matrix& m,
    int64_t row,
    int64_t column,
    const Run& run) {
  int64_t offset = row * m.row_stride + column * m.col_stride;
  if constexpr (F::kType == Type::kF64) {
    run(static_cast<const double*>(m.data) + offset);
  } else if (m.type == Type::kBf16) {
    run(static_cast<const Bf16*>(m.data) + offset);
  } else {
    run(static_cast<const float*>(m.data) + offset);
  }
}

} // namespace accrue::tensor::ACCRUE_ISA
