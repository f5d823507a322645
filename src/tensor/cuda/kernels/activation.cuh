// SPDX-License-Identifier: Apache-2.0

// Functions as in tensor/cpu/isa/math.h and tensor/cpu/isa/activation.cpp.

/// e^x within 2 units in the last place; e^-87 for x < -87, infinite for
/// x > 88.37.
__device__ inline float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 89.0F ? 89.0F : x; // 2^128 has the bits of infinity
  const float shift = 12582912.0F; // adding it rounds to an integer
  float shifted = fmaf(x, 1.44269504F, shift);
  float n = shifted - shift;
  float r = fmaf(n, -0.693359375F, x);
  r = fmaf(n, 2.12194440e-4F, r);
  float p = 1.9875691500e-4F;
  p = fmaf(p, r, 1.3981999507e-3F);
  p = fmaf(p, r, 8.3334519073e-3F);
  p = fmaf(p, r, 4.1665795894e-2F);
  p = fmaf(p, r, 1.6666665459e-1F);
  p = fmaf(p, r, 5.0000001201e-1F);
  p = fmaf(p, r * r, r) + 1.0F;
  unsigned exponent = (__float_as_uint(shifted) - __float_as_uint(shift)) << 23;
  return p * __uint_as_float(exponent + (127U << 23));
}

/// e^(z²) · erfc(z) for z >= 0: a polynomial in t = 1 / (1 + 0.35 z), within
/// 2·10⁻⁸ (tests/oracle/fit_erfc.py).
__device__ inline float scaled_erfc(float z) {
  float t = 1.0F / fmaf(0.35F, z, 1.0F);
  float s = 0.04398642741F;
  s = fmaf(s, t, -0.1889232116F);
  s = fmaf(s, t, 0.2511684278F);
  s = fmaf(s, t, -0.1195512332F);
  s = fmaf(s, t, 0.1624976484F);
  s = fmaf(s, t, 0.1059868917F);
  s = fmaf(s, t, 0.1648923817F);
  s = fmaf(s, t, 0.1849901429F);
  s = fmaf(s, t, 0.1974865968F);
  s = fmaf(s, t, 0.197465943F);
  return s * t;
}

/// Value and derivative of an activation.
struct Evaluated {
  float value;
  float slope;
};

/// x · Φ(x), Φ the normal distribution (arXiv 1606.08415).
__device__ inline Evaluated gelu(float x) {
  x = x < -87.0F ? -87.0F : x; // exponential() never rounds to 0
  float e = exponential(-0.5F * x * x);
  float tail = 0.5F * e * scaled_erfc(fabsf(x) * 0.70710678F);
  float below = x < 0 ? tail : 1 - tail;
  float density = 0.39894228F * e;
  return {x * below, fmaf(x, density, below)};
}

/// The approximation in the same paper, x · σ(2u).
__device__ inline Evaluated gelu_tanh(float x) {
  const float scale = 0.79788456F; // √(2/π)
  float square = x * x;
  square = square > 1e4F ? 1e4F : square; // keeps the slope finite
  float u = scale * x * fmaf(0.044715F, square, 1.0F);
  float s = 1 / (1 + exponential(-2 * u));
  float du = scale * fmaf(0.134145F, square, 1.0F);
  float y = x * s;
  return {y, fmaf(y * (1 - s), 2 * du, s)};
}

/// x · σ(x)
__device__ inline Evaluated silu(float x) {
  float s = 1 / (1 + exponential(-x));
  float y = x * s;
  return {y, fmaf(y, 1 - s, s)};
}

/// Evaluates the activation whose number in the enum Activation is `kind`.
__device__ inline Evaluated evaluate(int kind, float x) {
  return kind == 0 ? gelu_tanh(x) : kind == 1 ? gelu(x) : silu(x);
}
