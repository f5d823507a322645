// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

// Elementary functions in fp64. C libraries give different last digits,
// depending on their version and on the CPU. The functions here consist of
// additions, multiplications and divisions in a fixed order
// (-ffp-contract=off), so that a run gives the same bits on every machine.
// Errors are at most 2 units in the last place unless stated otherwise. All are
// inlined and call no inline function of the standard library, because kernels
// of every instruction set use some of them (tensor/cpu/isa/isa.h).

namespace accrue {

#define ACCRUE_FUNCTION inline __attribute__((always_inline))

/// Σ coefficients[i] · x^i.
template <int n>
ACCRUE_FUNCTION double polynomial(double x, const double (&coefficients)[n]) {
  double sum = coefficients[n - 1];
  for (int i = n - 2; i >= 0; --i) {
    sum = sum * x + coefficients[i];
  }
  return sum;
}

/// ln x, from ln m = 2 artanh((m - 1) / (m + 1)) with x = 2^e · m.
ACCRUE_FUNCTION double logarithm(double x) {
  constexpr double kLn2High = 0x1.62e42feep-1; // 31 bits: e * kLn2High is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kSeries[] = {
      1.0 / 3,
      1.0 / 5,
      1.0 / 7,
      1.0 / 9,
      1.0 / 11,
      1.0 / 13,
      1.0 / 15,
      1.0 / 17,
      1.0 / 19,
      1.0 / 21};
  using Limits = std::numeric_limits<double>;
  constexpr double kMin = Limits::min();
  constexpr double kMax = Limits::max();
  constexpr double kInfinity = Limits::infinity();
  constexpr double kNan = Limits::quiet_NaN();
  if (!(x > 0 && x <= kMax)) {
    return x == 0 ? -kInfinity : x > 0 ? x : kNan;
  }
  int64_t exponent = 0;
  if (x < kMin) {
    x *= 0x1p54;
    exponent = -54;
  }
  auto bits = __builtin_bit_cast(uint64_t, x);
  exponent += static_cast<int64_t>(bits >> 52) - 1023;
  auto m =
      __builtin_bit_cast(double, (bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (m > 0x1.6a09e667f3bcdp0) { // √2
    m *= 0.5;
    ++exponent;
  }
  double f = m - 1;
  double s = f / (2 + f);
  double z = s * s;
  auto e = static_cast<double>(exponent);
  // Since 2 s = f - s f, `rest` is a small correction to f.
  double rest = s * (2 * z * polynomial(z, kSeries) - f);
  return e * kLn2High + (f + (rest + e * kLn2Low));
}

/// e^x, from e^x = 2^n · e^r with |r| <= ln 2 / 2.
ACCRUE_FUNCTION double exponential(double x) {
  constexpr double kLn2High = 0x1.62e42feep-1;
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kSeries[] = {
      1.0,
      1.0,
      1.0 / 2,
      1.0 / 6,
      1.0 / 24,
      1.0 / 120,
      1.0 / 720,
      1.0 / 5040,
      1.0 / 40320,
      1.0 / 362880,
      1.0 / 3628800,
      1.0 / 39916800,
      1.0 / 479001600,
      1.0 / 6227020800};
  if (!(x > -746)) {
    return x == x ? 0 : x;
  }
  if (x > 710) {
    return std::numeric_limits<double>::infinity();
  }
  double n = std::floor(x * 0x1.71547652b82fep0 + 0.5);
  double r = (x - n * kLn2High) - n * kLn2Low;
  return std::ldexp(polynomial(r, kSeries), static_cast<int>(n));
}

/// ln(1 + x) for x > -1.
ACCRUE_FUNCTION double logarithm_plus_one(double x) {
  double whole = 1 + x;
  // The quotient corrects for the rounding of 1 + x.
  return whole == 1 ? x : logarithm(whole) * (x / (whole - 1));
}

/// x^y for x > 0; the relative error grows as |y ln x|.
ACCRUE_FUNCTION double power(double x, double y) {
  return exponential(y * logarithm(x));
}

/// x^n for n >= 0, by squaring.
ACCRUE_FUNCTION double integer_power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, x *= x) {
    if (n % 2 != 0) {
      result *= x;
    }
  }
  return result;
}

/// cos x and sin x for |x| <= 10⁶, absolute error within 2⁻⁵².
struct CosineSine {
  double cosine;
  double sine;
};
ACCRUE_FUNCTION CosineSine cosine_and_sine(double x) {
  // π/2 as a sum. Two parts have 33 bits: their products with n < 2²⁰ are
  // exact.
  constexpr double kPart1 = 0x1.921fb544p0;
  constexpr double kPart2 = 0x1.0b4611a6p-34;
  constexpr double kPart3 = 0x1.3198a2e037073p-69;
  constexpr double kSine[] = {
      1.0,
      -1.0 / 6,
      1.0 / 120,
      -1.0 / 5040,
      1.0 / 362880,
      -1.0 / 39916800,
      1.0 / 6227020800,
      -1.0 / 1307674368000,
      1.0 / 355687428096000};
  constexpr double kCosine[] = {
      1.0,
      -1.0 / 2,
      1.0 / 24,
      -1.0 / 720,
      1.0 / 40320,
      -1.0 / 3628800,
      1.0 / 479001600,
      -1.0 / 87178291200,
      1.0 / 20922789888000,
      -1.0 / 6402373705728000};
  double n = std::floor(x * 0x1.45f306dc9c883p-1 + 0.5);
  double r = ((x - n * kPart1) - n * kPart2) - n * kPart3;
  double z = r * r;
  double sine = r * polynomial(z, kSine);
  double cosine = polynomial(z, kCosine);
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {cosine, sine};
    case 1:
      return {-sine, cosine};
    case 2:
      return {-cosine, -sine};
    default:
      return {sine, -cosine};
  }
}

/// Losses are rounded to multiples of this unit, so that sums of them in fp64
/// are exact up to 2²⁹ and thus the same in any order (docs/bits.md).
constexpr double kLossUnit = 0x1p-24;

/// Rounds a loss to a multiple of kLossUnit.
ACCRUE_FUNCTION double summable(double loss) {
  return std::rint(loss / kLossUnit) * kLossUnit;
}

#undef ACCRUE_FUNCTION

} // namespace accrue
