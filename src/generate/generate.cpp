// SPDX-License-Identifier: Apache-2.0
#include "accrue/generate/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"

namespace accrue {

std::vector<int64_t> generate(
    const Transformer& model,
    std::span<const int64_t> prompt,
    const GenerateOptions& options,
    const OnToken& on_token) {
  const Sampler sampler(options.sampling);
  const auto length = static_cast<int64_t>(prompt.size());
  const int64_t positions = model.config().max_positions;
  if (length == 0) {
    throw Error(
        "[generate] the prompt is empty. Begin with the token that starts a "
        "text.");
  }
  if (length >= positions) {
    throw DataError(fmt::format(
        "[model] the prompt has {} tokens, the model {} positions. Shorten "
        "it.",
        length,
        positions));
  }
  const int64_t count = std::min(options.max_tokens, positions - length);
  auto cache = model.make_cache(length + count);
  std::vector<int64_t> tokens;
  std::span<const int64_t> next = prompt; // tokens the cache does not hold yet
  for (int64_t i = 0; i < count; ++i) {
    const int64_t token = sampler.sample(
        model.next_logits(next, *cache), static_cast<uint64_t>(i));
    if (std::ranges::find(options.stop_tokens, token) !=
        options.stop_tokens.end()) {
      break;
    }
    tokens.push_back(token);
    if (on_token) {
      on_token(token);
    }
    next = {&tokens.back(), 1};
  }
  return tokens;
}

} // namespace accrue
