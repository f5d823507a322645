// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "accrue/core/export.h"
#include "accrue/core/random.h"

namespace accrue {

/// How the next token is drawn from a model's logits.
struct SamplingOptions {
  /// Divisor of the logits, >= 0: below 1 likely tokens become likelier.
  /// 0 = always the likeliest token, whatever the other fields say.
  double temperature = 0.8;
  /// Draw from the fewest likeliest tokens whose probabilities add up to this
  /// share of all candidates (arXiv 1904.09751), in [0, 1]. 1 = from all,
  /// 0 = the likeliest alone.
  double top_p = 0.95;
  /// Most tokens to draw from, >= 0, the likeliest ones. 0 = no limit.
  int64_t top_k = 0;
  /// Key of the random numbers. Equal seeds give equal tokens.
  uint64_t seed = 0;
};

/// Draws tokens. Holds no state: the token drawn for a position depends on the
/// logits, the options and the position alone.
class ACCRUE_API Sampler {
 public:
  /// Throws ConfigError for options out of range.
  explicit Sampler(const SamplingOptions& options);

  /// Returns the index of an element of `logits` [V], of any floating-point
  /// type, on any device. `position` counts the tokens drawn before.
  /// Equally likely tokens are ordered by their index.
  [[nodiscard]] int64_t sample(const at::Tensor& logits, uint64_t position)
      const;

 private:
  SamplingOptions options_;
  CounterRandom random_;
};

} // namespace accrue
