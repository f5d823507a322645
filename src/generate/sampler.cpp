// SPDX-License-Identifier: Apache-2.0
#include "accrue/generate/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "accrue/core/error.h"

namespace accrue {
namespace {

/// Logits of all tokens, which order tokens, likelier first.
struct Logits {
  at::TensorAccessor<double, 1> logits; // [V]

  double operator[](size_t token) const {
    return logits[static_cast<int64_t>(token)];
  }
  bool operator()(size_t a, size_t b) const {
    const double x = (*this)[a];
    const double y = (*this)[b];
    return x != y ? x > y : a < b;
  }
};

/// Draws from softmax(logits / temperature) over `candidates`, which are
/// sorted, cut to the top-p nucleus. `uniform` in [0, 1) decides.
size_t draw(
    const std::vector<size_t>& candidates,
    const Logits& logits,
    const SamplingOptions& options,
    double uniform) {
  std::vector<double> weights;
  double total = 0;
  for (size_t token : candidates) {
    double gap = (logits[token] - logits[candidates[0]]) / options.temperature;
    weights.push_back(std::exp(gap));
    total += weights.back();
  }
  double nucleus = 0;
  size_t kept = 0;
  while (kept < weights.size() && nucleus < options.top_p * total) {
    nucleus += weights[kept++];
  }
  double left = uniform * nucleus;
  for (size_t i = 0; i + 1 < kept; ++i) {
    left -= weights[i];
    if (left < 0) {
      return candidates[i];
    }
  }
  return candidates[kept > 0 ? kept - 1 : 0];
}

} // namespace

Sampler::Sampler(const SamplingOptions& options)
    : options_(options), random_(options.seed) {
  Problems problems;
  if (!(options.temperature >= 0)) {
    problems.add(
        fmt::format("temperature must be >= 0, got {}", options.temperature));
  }
  if (!(options.top_p >= 0 && options.top_p <= 1)) {
    problems.add(fmt::format("top_p must be in [0, 1], got {}", options.top_p));
  }
  if (options.top_k < 0) {
    problems.add(fmt::format("top_k must be >= 0, got {}", options.top_k));
  }
  problems.throw_if_any<ConfigError>("generate");
}

int64_t Sampler::sample(const at::Tensor& logits, uint64_t position) const {
  at::Tensor wide = logits.to(at::kCPU, at::kDouble).contiguous(); // [V]
  const Logits likelier{wide.accessor<double, 1>()};
  std::vector<size_t> candidates(static_cast<size_t>(wide.numel()));
  std::iota(candidates.begin(), candidates.end(), size_t{0});
  if (options_.temperature == 0) {
    return static_cast<int64_t>(
        *std::min_element(candidates.begin(), candidates.end(), likelier));
  }
  if (options_.top_k > 0) {
    size_t kept =
        std::min(static_cast<size_t>(options_.top_k), candidates.size());
    std::nth_element(
        candidates.begin(),
        candidates.begin() + static_cast<std::ptrdiff_t>(kept - 1),
        candidates.end(),
        likelier);
    candidates.resize(kept);
  }
  std::sort(candidates.begin(), candidates.end(), likelier);
  return static_cast<int64_t>(
      draw(candidates, likelier, options_, random_.uniform(position)));
}

} // namespace accrue
