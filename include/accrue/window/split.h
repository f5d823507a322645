#pragma once

#include <cstdint>
#include <span>
#include <vector>

// Micro-batches are cut from the global batch by arithmetic, never by counting
// modulo N: the last one is simply shorter.

namespace accrue {

/// Half-open range of positions in a global batch.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const {
    return end - begin;
  }
  bool operator==(const Range&) const = default;
};

/// Cuts [0, num_samples) into consecutive ranges of `micro_batch` samples.
/// Throws ConfigError unless micro_batch > 0.
std::vector<Range> split_range(int64_t num_samples, int64_t micro_batch);

/// N: how many ranges split_range gives.
constexpr int64_t num_micro_batches(int64_t num_samples, int64_t micro_batch) {
  return (num_samples + micro_batch - 1) / micro_batch;
}

/// Cuts samples of the given lengths into consecutive ranges of at most
/// `max_tokens` tokens; a longer sample stands alone. Throws ConfigError unless
/// max_tokens > 0.
std::vector<Range> split_by_tokens(
    std::span<const int64_t> lengths,
    int64_t max_tokens);

/// Views of consecutive samples: std::vector or anything a span can view.
template <class Sample>
std::vector<std::span<const Sample>> split(
    const std::vector<Sample>& batch,
    int64_t micro_batch) {
  std::vector<std::span<const Sample>> parts;
  for (Range range :
       split_range(static_cast<int64_t>(batch.size()), micro_batch)) {
    parts.push_back(std::span(batch).subspan(
        static_cast<size_t>(range.begin), static_cast<size_t>(range.size())));
  }
  return parts;
}

/// Views along dimension 0 of a batch that has `data` and `target` tensors,
/// such as torch::data::Example<>.
template <class Example>
requires requires(const Example& e) {
  e.data.narrow(0, 0, 1);
  e.target.narrow(0, 0, 1);
}
std::vector<Example> split(const Example& batch, int64_t micro_batch) {
  std::vector<Example> parts;
  for (Range range : split_range(batch.data.size(0), micro_batch)) {
    parts.push_back(
        {batch.data.narrow(0, range.begin, range.size()),
         batch.target.narrow(0, range.begin, range.size())});
  }
  return parts;
}

} // namespace accrue
