// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/cpu/isa/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Registers of the instruction set: their width, their number, and operations
// for which C++ has no operators.

namespace accrue::tensor::ACCRUE_ISA {

#if defined(__AVX512F__)
inline constexpr int64_t kVectorBytes = 64;
inline constexpr int64_t kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int64_t kVectorBytes = 32;
inline constexpr int64_t kRegisters = 16;
#else // SSE2, NEON
inline constexpr int64_t kVectorBytes = 16;
#if defined(__aarch64__)
inline constexpr int64_t kRegisters = 32;
#else
inline constexpr int64_t kRegisters = 16;
#endif
#endif

template <class T>
struct VectorOf {
  using Type __attribute__((vector_size(kVectorBytes))) = T;
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
inline constexpr int64_t kLanes = kVectorBytes / int64_t{sizeof(T)};

/// a · b + c, rounded once where the instruction set has such an instruction.
ACCRUE_INLINE float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
ACCRUE_INLINE double fma(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}
ACCRUE_INLINE Vector<float> fma(
    Vector<float> a,
    Vector<float> b,
    Vector<float> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}
ACCRUE_INLINE Vector<double> fma(
    Vector<double> a,
    Vector<double> b,
    Vector<double> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f64(c, a, b);
#else
  return a * b + c;
#endif
}

/// Returns a vector with x in all lanes.
template <class T>
ACCRUE_INLINE Vector<T> splat(T x) {
  return x - Vector<T>{}; // x + Vector<T>{} would turn -0 into +0
}

/// Loads kLanes<float> values, or kLanes<double>, widened to the sum type.
ACCRUE_INLINE Vector<float> load_wide(const float* from) {
  return load<Vector<float>>(from);
}
ACCRUE_INLINE Vector<double> load_wide(const double* from) {
  return load<Vector<double>>(from);
}
ACCRUE_INLINE Vector<float> load_wide(const Bf16* from) {
  using Half __attribute__((vector_size(kVectorBytes / 2))) = uint16_t;
  auto bits = __builtin_convertvector(load<Half>(from), Vector<uint32_t>);
  return bit_cast<Vector<float>>(bits << 16);
}

/// Makes the instructions of this thread read and write denormals as 0 while an
/// object exists. The instruction that multiplies bf16 always does that, so for
/// the same bits the others have to.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  ACCRUE_INLINE FlushDenormals() : before_(_mm_getcsr()) {
    _mm_setcsr(before_ | 0x8040U); // FTZ, DAZ
  }
  ACCRUE_INLINE ~FlushDenormals() {
    _mm_setcsr(before_);
  }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  ACCRUE_INLINE FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    uint64_t flushing = before_ | uint64_t{1} << 24; // FZ
    asm volatile("msr fpcr, %0" : : "r"(flushing) : "memory");
  }
  ACCRUE_INLINE ~FlushDenormals() {
    asm volatile("msr fpcr, %0" : : "r"(before_) : "memory");
  }

 private:
  uint64_t before_ = 0;
#else
#error "FlushDenormals: how does this CPU flush denormals?"
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

} // namespace accrue::tensor::ACCRUE_ISA
