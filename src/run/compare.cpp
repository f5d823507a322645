// SPDX-License-Identifier: Apache-2.0
#include "run/compare.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace accrue {
namespace {

/// P(|T| <= t), a finite sum (Abramowitz & Stegun 26.7.3 and 26.7.4).
double student_probability(double t, uint64_t degrees) {
  const double theta = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double cosine2 = std::cos(theta) * std::cos(theta);
  const bool odd = degrees % 2 == 1;
  double term = odd ? std::cos(theta) : 1;
  double sum = degrees == 1 ? 0 : term;
  for (uint64_t k = odd ? 3 : 2; k < degrees; k += 2) {
    const auto j = static_cast<double>(k);
    term *= cosine2 * (j - 1) / j;
    sum += term;
  }
  return odd ? 2 / std::numbers::pi * (theta + std::sin(theta) * sum)
             : std::sin(theta) * sum;
}

} // namespace

double student_quantile(uint64_t degrees_of_freedom) {
  // Beyond this it equals the normal distribution's to five digits.
  const uint64_t degrees = std::min<uint64_t>(degrees_of_freedom, 100'000);
  double low = 1.9;
  double high = 13;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (student_probability(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return high;
}

std::optional<Comparison> compare(
    std::span<const SampleLoss> first,
    std::span<const SampleLoss> second) {
  const size_t n = first.size();
  if (n < 2) {
    return std::nullopt;
  }
  double sum = 0;
  double weight = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += second[i].sum - first[i].sum;
    weight += first[i].weight;
  }
  Comparison result;
  result.difference = sum / weight;
  double squares = 0;
  for (size_t i = 0; i < n; ++i) {
    const double rest =
        second[i].sum - first[i].sum - result.difference * first[i].weight;
    squares += rest * rest;
  }
  const auto count = static_cast<double>(n);
  result.standard_error = std::sqrt(squares * count / (count - 1)) / weight;
  const double half = student_quantile(n - 1) * result.standard_error;
  result.low = result.difference - half;
  result.high = result.difference + half;
  return result;
}

} // namespace accrue
