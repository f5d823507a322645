// SPDX-License-Identifier: Apache-2.0
#include "accrue/window/split.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "window/next_micro_batch.h"

namespace accrue {
namespace {

void require_positive(int64_t value, const char* what) {
  if (value <= 0) {
    throw ConfigError(
        fmt::format("[split] {} must be > 0, got {}.", what, value));
  }
}

} // namespace

std::vector<Range> split_range(int64_t num_samples, int64_t micro_batch) {
  require_positive(micro_batch, "micro-batch");
  std::vector<Range> ranges;
  for (int64_t begin = 0; begin < num_samples; begin += micro_batch) {
    ranges.push_back({begin, std::min(begin + micro_batch, num_samples)});
  }
  return ranges;
}

std::vector<Range> split_by_tokens(
    std::span<const int64_t> lengths,
    int64_t max_tokens,
    int64_t max_samples) {
  require_positive(max_tokens, "token limit of a micro-batch");
  require_positive(max_samples, "micro-batch");
  const auto num_samples = static_cast<int64_t>(lengths.size());
  auto length = [&](int64_t i) { return lengths[static_cast<size_t>(i)]; };
  std::vector<Range> ranges;
  for (int64_t begin = 0; begin < num_samples; begin = ranges.back().end) {
    ranges.push_back(
        next_micro_batch(begin, num_samples, length, max_tokens, max_samples));
  }
  return ranges;
}

} // namespace accrue
