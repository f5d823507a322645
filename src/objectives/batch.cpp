// SPDX-License-Identifier: Apache-2.0
#include "objectives/batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace accrue {

TokenBatch make_batch(std::span<const Sample> samples, int64_t grain_tokens) {
  TokenBatch batch;
  batch.offsets.push_back(0);
  int64_t grain_begin = 0; // token
  for (const Sample& sample : samples) {
    const int64_t end = batch.offsets.back() + sample.length();
    if (grain_tokens > 0 && end - grain_begin > grain_tokens &&
        batch.offsets.back() > grain_begin) {
      batch.grains.push_back(static_cast<int64_t>(batch.sample_ids.size()));
      grain_begin = batch.offsets.back();
    }
    for (const Sequence& sequence : sample.sequences) {
      batch.offsets.push_back(batch.offsets.back() + sequence.length());
      batch.sample_ids.push_back(sequence.id);
    }
  }
  if (grain_tokens > 0) {
    batch.grains.push_back(static_cast<int64_t>(batch.sample_ids.size()));
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
      if (sequence.loss_mask.empty()) {
        std::fill_n(weights, sequence.length(), 1.0);
      } else {
        std::copy(
            sequence.loss_mask.begin(), sequence.loss_mask.end(), weights);
      }
      batch.target_weight = std::accumulate(
          weights, weights + sequence.length(), batch.target_weight);
      weights += sequence.length();
    }
  }
  return batch;
}

void for_each_batch(
    const ConcatDataset& dataset,
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

std::vector<SampleLoss> sample_losses(
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick) {
  std::vector<SampleLoss> losses;
  losses.reserve(dataset.size());
  for_each_batch(
      dataset,
      max_tokens,
      [&](uint64_t first, std::span<const Sample> samples) {
        TokenBatch batch = make_batch(samples);
        const at::Tensor host = model.token_losses(batch).cpu();
        const auto loss = host.accessor<double, 1>();
        const auto weight = batch.weights.accessor<double, 1>();
        int64_t next = 0;
        for (const Sample& sample : samples) {
          SampleLoss& total = losses.emplace_back();
          for (const int64_t end = next + sample.length(); next < end; ++next) {
            total.sum += loss[next];
            total.weight += weight[next];
          }
        }
        tick("evaluating", first + samples.size(), dataset.size());
      });
  return losses;
}

Evaluation total(std::span<const SampleLoss> losses) {
  Evaluation total;
  for (const SampleLoss& loss : losses) {
    total.loss_sum += loss.sum;
    total.target_tokens += loss.weight;
  }
  return total;
}

Evaluation evaluate(
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick) {
  return total(sample_losses(model, dataset, max_tokens, tick));
}

} // namespace accrue
