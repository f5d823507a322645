#include "train/batch.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace accrue {

TokenBatch make_batch(std::span<const Sample> samples) {
  TokenBatch batch;
  batch.offsets.push_back(0);
  for (const Sample& sample : samples) {
    for (const Sequence& sequence : sample.sequences) {
      batch.offsets.push_back(batch.offsets.back() + sequence.length());
      batch.sample_ids.push_back(sequence.id);
    }
  }
  int64_t num_tokens = batch.offsets.back();
  batch.tokens = at::empty({num_tokens}, at::kLong);
  batch.targets = at::empty({num_tokens}, at::kLong);
  batch.positions = at::empty({num_tokens}, at::kLong);
  batch.weights = at::empty({num_tokens}, at::kDouble);
  auto* tokens = batch.tokens.mutable_data_ptr<int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<int64_t>();
  auto* positions = batch.positions.mutable_data_ptr<int64_t>();
  auto* weights = batch.weights.mutable_data_ptr<double>();
  for (const Sample& sample : samples) {
    for (const Sequence& sequence : sample.sequences) {
      const auto& t = sequence.tokens;
      tokens = std::copy(t.begin(), t.end() - 1, tokens);
      targets = std::copy(t.begin() + 1, t.end(), targets);
      std::iota(positions, positions + sequence.length(), int64_t{0});
      positions += sequence.length();
      if (sequence.trained.empty()) {
        std::fill_n(weights, sequence.length(), 1.0);
      } else {
        std::copy(sequence.trained.begin(), sequence.trained.end(), weights);
      }
      batch.target_weight = std::accumulate(
          weights, weights + sequence.length(), batch.target_weight);
      weights += sequence.length();
    }
  }
  return batch;
}

void for_each_batch(
    const Dataset& dataset,
    int64_t max_tokens,
    const std::function<void(uint64_t, std::span<const Sample>)>& run) {
  uint64_t next = 0;
  while (next < dataset.size()) {
    const uint64_t first = next;
    std::vector<Sample> samples;
    int64_t tokens = 0;
    do {
      samples.push_back(dataset.sample(next));
      tokens += samples.back().length();
      ++next;
    } while (next < dataset.size() &&
             tokens + dataset.length(next) <= max_tokens);
    run(first, samples);
  }
}

Evaluation evaluate(
    const Transformer& model,
    const Dataset& dataset,
    int64_t max_tokens,
    const report::Tick& tick) {
  at::NoGradGuard no_grad;
  Evaluation total;
  for_each_batch(
      dataset,
      max_tokens,
      [&](uint64_t first, std::span<const Sample> samples) {
        TokenBatch batch = make_batch(samples);
        total.loss_sum += model.loss_sum(batch).item<double>();
        total.target_tokens += batch.target_weight;
        tick("evaluating", first + samples.size(), dataset.size());
      });
  return total;
}

} // namespace accrue
