// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "objectives/batch.h"

namespace accrue {

/// Two models on the same samples, in nats per target token.
struct Comparison {
  /// Loss of the second less that of the first.
  double difference = 0;
  double standard_error = 0;
  /// 95 % confidence interval of the difference.
  double low = 0;
  double high = 0;

  /// True if the interval leaves no doubt which one is better.
  bool decided() const {
    return low > 0 || high < 0;
  }
};

/// Compares sample by sample, which removes the difficulty that a sample has
/// for both models (Miller 2024, arXiv 2411.00640). A loss per token is a ratio
/// of sums; its variance is from Cochran 1977, "Sampling Techniques", §6.3, its
/// interval from Student's t. Samples are taken as independent, even those of
/// one document. Returns nullopt for fewer than two samples.
std::optional<Comparison> compare(
    std::span<const SampleLoss> first,
    std::span<const SampleLoss> second);

/// t with P(|T| <= t) = 0.95 for Student's T.
double student_quantile(uint64_t degrees_of_freedom);

} // namespace accrue
