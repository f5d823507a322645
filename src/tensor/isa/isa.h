#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/kernels.h"

// Included by files that are compiled once per instruction set, each time with
// another ACCRUE_ISA, the namespace of that set. They use no functions of the
// standard library that could end up outlined: the linker keeps one copy of
// such a function, and it must not be the one with the newest instructions.

#define ACCRUE_INLINE inline __attribute__((always_inline))

namespace accrue::tensor::ACCRUE_ISA {

struct Bf16 {
  uint16_t bits;
};

// 64 bytes whatever the machine's registers; the compiler splits them.
using F32x16 = float __attribute__((vector_size(64)));
using F64x8 = double __attribute__((vector_size(64)));
using U32x16 = uint32_t __attribute__((vector_size(64)));

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

ACCRUE_INLINE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

ACCRUE_INLINE float widen(Bf16 x) {
  return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
ACCRUE_INLINE float widen(float x) {
  return x;
}
ACCRUE_INLINE double widen(double x) {
  return x;
}

/// To nearest even; NaN stays NaN.
ACCRUE_INLINE uint32_t round_to_bf16(float x) {
  auto bits = bit_cast<uint32_t>(x);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return x == x ? rounded : 0x7fc0;
}

template <class T>
ACCRUE_INLINE T narrow(float x) {
  if constexpr (sizeof(T) == 2) {
    return T{static_cast<uint16_t>(round_to_bf16(x))};
  } else {
    return x;
  }
}
template <class T>
ACCRUE_INLINE T narrow(double x) {
  return x;
}

// The functions of Kernels.
void gemm(const Gemm& gemm);
size_t packed_bytes(int64_t k, int64_t n, Type compute);
void pack(int64_t k, int64_t n, Type compute, const Matrix& b, void* out);
void norm(const NormRows& norm, void* y);
void norm_backward(const NormRows& norm, const void* dy, void* dx, void* sums);
void activate(
    Curve curve,
    Type type,
    int64_t count,
    const void* gate,
    const void* x,
    void* y);
void activate_backward(
    Curve curve,
    Type type,
    int64_t count,
    const void* gate,
    const void* x,
    const void* dy,
    void* y,
    void* dgate,
    void* dx);
void softmax(const ScoreRows& rows);
void softmax_backward(const ScoreRows& rows, const void* delta, void* dp);
void row_products(
    Type type,
    int64_t rows,
    int64_t columns,
    const void* o,
    int64_t o_stride,
    const void* d,
    int64_t d_stride,
    void* delta);
void loss(const LossRows& rows);
void sum_rows(
    Type type,
    int64_t rows,
    int64_t width,
    const void* x,
    int64_t stride,
    void* sums);
double sum_squares(Type type, int64_t count, const void* x);
void dropout(
    const DropoutRange& range,
    Type type,
    const void* x,
    const void* base,
    void* y);
void rotate(
    Type type,
    int64_t rows,
    int64_t heads,
    int64_t dim,
    int64_t stride,
    const int64_t* positions,
    const void* cos,
    const void* sin,
    bool back,
    void* x);

extern const Kernels table;

} // namespace accrue::tensor::ACCRUE_ISA
