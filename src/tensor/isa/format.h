#pragma once

#include "tensor/isa/isa.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

// What matrix products are computed in. What one column of a packed panel takes
// is a word: one element, or two bf16 that are neighbours in k.

namespace accrue::tensor::ACCRUE_ISA {

/// One element per word, summed in its own type.
template <Type type, class T, class Vector>
struct Single {
  static constexpr Type kType = type;
  static constexpr int64_t kPerWord = 1;
  static constexpr int64_t kLanes = sizeof(Vector) / sizeof(T);
  using Word = T;
  using Words = Vector;
  using Sum = T;
  using Sums = Vector;

  ACCRUE_INLINE static Sums fma(Word a, Words b, Sums sum) {
    return sum + a * b;
  }
};
using F32 = Single<Type::kF32, float, F32x16>;
using F64 = Single<Type::kF64, double, F64x8>;

struct Bf16Pair {
  static constexpr Type kType = Type::kBf16;
  static constexpr int64_t kPerWord = 2;
  static constexpr int64_t kLanes = 16;
  using Word = uint32_t;
  using Words = U32x16;
  using Sum = float;
  using Sums = F32x16;

  ACCRUE_INLINE static Sums fma(Word a, Words b, Sums sum) {
#if defined(__AVX512BF16__)
    return (Sums)_mm512_dpbf16_ps(
        (__m512)sum,
        (__m512bh)_mm512_set1_epi32(static_cast<int>(a)),
        (__m512bh)b);
#else
    auto odd = bit_cast<F32x16>(b & 0xffff0000U);
    auto even = bit_cast<F32x16>(b << 16);
    sum += bit_cast<float>(a << 16) * even;
    return sum + bit_cast<float>(a & 0xffff0000U) * odd;
#endif
  }
};

} // namespace accrue::tensor::ACCRUE_ISA
