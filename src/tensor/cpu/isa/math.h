// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <math.h>

#include "core/functions.h"
#include "tensor/cpu/isa/sum.h"

// Types and functions that the loops over rows share.

namespace accrue::tensor::ACCRUE_ISA {

/// Calls run<T>() with the C++ type of `type`.
template <class Run>
ACCRUE_INLINE void with_type(Type type, const Run& run) {
  switch (type) {
    case Type::kF64:
      return run.template operator()<double>();
    case Type::kF32:
      return run.template operator()<float>();
    case Type::kBf16:
      return run.template operator()<Bf16>();
  }
}

/// Calls run<T>() with the C++ type of `type`, which is a sum type.
template <class Run>
ACCRUE_INLINE void with_sum_type(Type type, const Run& run) {
  if (type == Type::kF64) {
    run.template operator()<double>();
  } else {
    run.template operator()<float>();
  }
}

/// Sum type of T.
template <class T>
using SumOf = decltype(widen(T{}));

/// Converts an untyped pointer.
template <class T>
ACCRUE_INLINE T* at(void* data) {
  return static_cast<T*>(data);
}
template <class T>
ACCRUE_INLINE const T* at(const void* data) {
  return static_cast<const T*>(data);
}

/// e^x within 2 units in the last place; e^-87 for x < -87, infinite for
/// x > 88.37. The method of Cephes' expf: e^x = 2^n · e^r with |r| <= ln 2 / 2.
ACCRUE_INLINE float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 89.0F ? 89.0F : x; // 2^128 has the bits of infinity
  const float kShift = 0x1.8p23F; // adding it rounds to an integer
  float shifted = fma(x, 1.44269504F, kShift);
  float n = shifted - kShift;
  float r = fma(n, -0.693359375F, x);
  r = fma(n, 2.12194440e-4F, r);
  float p = 1.9875691500e-4F;
  p = fma(p, r, 1.3981999507e-3F);
  p = fma(p, r, 8.3334519073e-3F);
  p = fma(p, r, 4.1665795894e-2F);
  p = fma(p, r, 1.6666665459e-1F);
  p = fma(p, r, 5.0000001201e-1F);
  p = fma(p, r * r, r) + 1.0F;
  auto exponent = (bit_cast<uint32_t>(shifted) - bit_cast<uint32_t>(kShift))
      << 23;
  return p * bit_cast<float>(exponent + (127U << 23));
}

/// e^(z²) · erfc(z) for z >= 0: a polynomial in t = 1 / (1 + 0.35 z), within
/// 2·10⁻⁸ (tests/oracle/fit_erfc.py).
ACCRUE_INLINE float scaled_erfc(float z) {
  float t = 1.0F / fma(0.35F, z, 1.0F);
  float s = 0.04398642741F;
  s = fma(s, t, -0.1889232116F);
  s = fma(s, t, 0.2511684278F);
  s = fma(s, t, -0.1195512332F);
  s = fma(s, t, 0.1624976484F);
  s = fma(s, t, 0.1059868917F);
  s = fma(s, t, 0.1648923817F);
  s = fma(s, t, 0.1849901429F);
  s = fma(s, t, 0.1974865968F);
  s = fma(s, t, 0.197465943F);
  return s * t;
}

// fp64 takes the functions of the C library: its bits may differ on another
// machine.
ACCRUE_INLINE double exponential(double x) {
  return exp(x);
}
ACCRUE_INLINE double logarithm(double x) {
  return log(x);
}
ACCRUE_INLINE float logarithm(float x) {
  return static_cast<float>(accrue::logarithm(x));
}
ACCRUE_INLINE float sqrt(float x) {
  return __builtin_sqrtf(x);
}
ACCRUE_INLINE double sqrt(double x) {
  return __builtin_sqrt(x);
}

} // namespace accrue::tensor::ACCRUE_ISA
