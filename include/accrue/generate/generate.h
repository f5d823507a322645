// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "accrue/core/export.h"
#include "accrue/generate/sampler.h"
#include "accrue/models/transformer.h"

namespace accrue {

struct GenerateOptions {
  SamplingOptions sampling;
  /// Most tokens to generate; fewer where the model has no more positions.
  /// 0 = none.
  int64_t max_tokens = 200;
  /// Tokens that end the text and do not belong to it. Empty = none.
  std::vector<int64_t> stop_tokens;
};

/// Called with each token as soon as it is drawn.
using OnToken = std::function<void(int64_t token)>;

/// Continues one sequence: draws a token, appends it, and so on until a stop
/// token is drawn or a limit is reached. Returns the new tokens, without the
/// prompt and without the stop token. The key/value cache of the model makes a
/// token cost one pass over the weights, whatever the length.
///
/// Throws Error for an empty prompt, ConfigError for sampling options out of
/// range, DataError for a prompt that leaves the model no position.
ACCRUE_API std::vector<int64_t> generate(
    const Transformer& model,
    std::span<const int64_t> prompt,
    const GenerateOptions& options,
    const OnToken& on_token = {});

} // namespace accrue
