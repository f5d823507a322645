#pragma once

#include <math.h>

#include "tensor/isa/isa.h"

// Types and functions that the loops over rows share.

namespace accrue::tensor::ACCRUE_ISA {

/// Calls run<T>() with the type of memory.
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

/// The same for memory of a sum type.
template <class Run>
ACCRUE_INLINE void with_sum_type(Type type, const Run& run) {
  if (type == Type::kF64) {
    run.template operator()<double>();
  } else {
    run.template operator()<float>();
  }
}

template <class T>
using SumOf = decltype(widen(T{}));

template <class T>
ACCRUE_INLINE T* at(void* data) {
  return static_cast<T*>(data);
}
template <class T>
ACCRUE_INLINE const T* at(const void* data) {
  return static_cast<const T*>(data);
}

/// Within 2 units in the last place; below e^-87 it is e^-87, above e^88.37
/// infinite. Cephes' expf:
/// e^x = 2^n · e^r with |r| <= ln 2 / 2.
ACCRUE_INLINE float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 89.0F ? 89.0F : x; // 2^128: its bits are those of infinity
  const float kShift = 0x1.8p23F; // adding it rounds to an integer
  float shifted = x * 1.44269504F + kShift;
  float n = shifted - kShift;
  float r = x - n * 0.693359375F;
  r = r + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  auto exponent = (bit_cast<uint32_t>(shifted) - bit_cast<uint32_t>(kShift))
      << 23;
  return p * bit_cast<float>(exponent + (127U << 23));
}
ACCRUE_INLINE double exponential(double x) {
  return exp(x);
}
ACCRUE_INLINE float logarithm(float x) {
  return logf(x);
}
ACCRUE_INLINE double logarithm(double x) {
  return log(x);
}
ACCRUE_INLINE float root(float x) {
  return __builtin_sqrtf(x);
}
ACCRUE_INLINE double root(double x) {
  return __builtin_sqrt(x);
}

} // namespace accrue::tensor::ACCRUE_ISA
