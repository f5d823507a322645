// SPDX-License-Identifier: Apache-2.0

using ll = long long;

/// Upper half of an fp32.
struct bf16 {
  unsigned short bits;
};

/// Converts to the type of sums, without rounding.
__device__ inline float widen(bf16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}
__device__ inline float widen(float x) {
  return x;
}
__device__ inline double widen(double x) {
  return x;
}

/// Rounds to the nearest T, ties to even; NaN becomes a quiet NaN.
template <class T>
__device__ inline T round_to(float x);
template <>
__device__ inline float round_to<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 round_to<bf16>(float x) {
  unsigned bits = __float_as_uint(x);
  unsigned rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return bf16{static_cast<unsigned short>(x == x ? rounded : 0x7fc0)};
}
