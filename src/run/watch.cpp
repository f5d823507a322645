// SPDX-License-Identifier: Apache-2.0
#include "run/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace accrue {
namespace {

constexpr size_t kMiddle = 9; // steps whose median is the middle of the band
constexpr size_t kHistory = 64; // steps that tell how wide the band is
constexpr size_t kFewest = 16; // of those
/// Width of the band in median deviations. One of these is 0.67 standard
/// deviations of a normal distribution, so the band is some 7 of them wide, far
/// beyond the noise of a long run.
constexpr double kWidth = 10;

/// Replaces a norm of 0, which has no logarithm; far below any band.
constexpr double kLeastNorm = 1e-300;

double median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double median(const std::deque<double>& values) {
  return median(std::vector<double>(values.begin(), values.end()));
}

void push(std::deque<double>& list, double value, size_t most) {
  list.push_back(value);
  if (list.size() > most) {
    list.pop_front();
  }
}

} // namespace

std::optional<Band::Bounds> Band::bounds() const {
  if (strayed_.size() < kFewest) {
    return std::nullopt;
  }
  const double middle = median(values_);
  const double half = std::max(
      {kWidth * median(strayed_), least_, least_share_ * std::abs(middle)});
  return Bounds{middle - half, middle + half};
}

void Band::add(double value) {
  if (values_.size() == kMiddle) {
    push(strayed_, std::abs(value - median(values_)), kHistory);
  }
  push(values_, value, kMiddle);
}

std::vector<std::string> Watch::look(const report::StepMetrics& metrics) {
  std::vector<std::string> found;
  auto look_at = [&](Quantity& quantity,
                     const char* name,
                     double value,
                     double least,
                     double (*shown)(double)) {
    if (!std::isfinite(value)) {
      return; // an error or a policy of its own
    }
    const auto bounds = quantity.band.bounds();
    const bool outside =
        bounds && (value < bounds->low || value > bounds->high);
    if (outside && !quantity.outside) {
      found.push_back(fmt::format(
          "the {} is {:.4g}, expected {:.4g} to {:.4g}",
          name,
          shown(value),
          std::max(shown(bounds->low), least),
          shown(bounds->high)));
    }
    quantity.outside = outside;
    quantity.band.add(value);
  };
  auto same = [](double value) { return value; };
  look_at(loss_, "loss", metrics.loss, 0, same);
  look_at(
      grad_norm_,
      "gradient norm",
      std::log(std::max(metrics.grad_norm, kLeastNorm)),
      0,
      [](double x) { return std::exp(x); });
  if (metrics.reward_margin) {
    look_at(margin_, "reward margin", *metrics.reward_margin, -HUGE_VAL, same);
  }
  return found;
}

} // namespace accrue
