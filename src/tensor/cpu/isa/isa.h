// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensor/cpu/kernels.h"

// Included by the sources that are compiled once per instruction set, each time
// with another ACCRUE_ISA, which is the namespace of that set. Their objects
// must not contain inline functions that other objects may contain, too, such
// as those of the standard library: the linker keeps one copy of each, and if
// that is the one made of AVX-512 instructions, other CPUs stop in it. So all
// functions here are always inlined, static or in an anonymous namespace.
// tests/isa_symbols.py checks the objects.
//
// Bits are the same in every set that has a fused multiply-add (docs/bits.md):
// the compiler contracts nothing (-ffp-contract=off), products that are added
// are written as fma(), and sums over a row have lanes of their own (sum.h).

#define ACCRUE_INLINE inline __attribute__((always_inline))

namespace accrue::tensor::ACCRUE_ISA {

struct Bf16 {
  uint16_t bits;
};

template <class To, class From>
ACCRUE_INLINE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

template <class V>
ACCRUE_INLINE V load(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class V>
ACCRUE_INLINE void store(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

ACCRUE_INLINE int64_t min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/// ⌈a / b⌉
ACCRUE_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Converts to the sum type, without rounding.
ACCRUE_INLINE float widen(Bf16 x) {
  return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
ACCRUE_INLINE float widen(float x) {
  return x;
}
ACCRUE_INLINE double widen(double x) {
  return x;
}

/// Rounds to the nearest bf16, ties to even; NaN stays NaN.
ACCRUE_INLINE uint32_t round_to_bf16(float x) {
  auto bits = bit_cast<uint32_t>(x);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return x == x ? rounded : 0x7fc0;
}

/// Converts from the sum type of T to T.
template <class T>
ACCRUE_INLINE T round_to(float x) {
  if constexpr (sizeof(T) == 2) {
    return T{static_cast<uint16_t>(round_to_bf16(x))};
  } else {
    return x;
  }
}
template <class T>
ACCRUE_INLINE T round_to(double x) {
  return x;
}

// The functions of Kernels.
template <class Pointer>
using Function = std::remove_pointer_t<Pointer>;
Function<decltype(Kernels::gemm)> gemm;
Function<decltype(Kernels::packed_bytes)> packed_bytes;
Function<decltype(Kernels::pack)> pack;
Function<decltype(Kernels::norm)> norm;
Function<decltype(Kernels::norm_backward)> norm_backward;
Function<decltype(Kernels::activate)> activate;
Function<decltype(Kernels::activate_backward)> activate_backward;
Function<decltype(Kernels::softmax)> softmax;
Function<decltype(Kernels::softmax_backward)> softmax_backward;
Function<decltype(Kernels::row_products)> row_products;
Function<decltype(Kernels::loss)> loss;
Function<decltype(Kernels::sum_rows)> sum_rows;
Function<decltype(Kernels::sum_squares)> sum_squares;
Function<decltype(Kernels::dropout)> dropout;
Function<decltype(Kernels::rotate)> rotate;
Function<decltype(Kernels::adamw)> adamw;

extern const Kernels table;

} // namespace accrue::tensor::ACCRUE_ISA
