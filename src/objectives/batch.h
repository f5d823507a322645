// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "accrue/models/transformer.h"
#include "core/progress.h"
#include "text/dataset.h"

namespace accrue {

/// Lays the sequences of samples end to end. Targets have weight 1, or 0 where
/// they are not trained on. A grain has as many samples as fit into
/// `grain_tokens`, at least one; 0: every sequence is a grain.
TokenBatch make_batch(
    std::span<const Sample> samples,
    int64_t grain_tokens = 0);

/// Calls run(first index, samples) for a whole dataset in order, in batches of
/// at most `max_tokens` tokens and at least one sample.
void for_each_batch(
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const std::function<void(uint64_t, std::span<const Sample>)>& run);

/// Tokens of one evaluation pass: more at once are not faster.
constexpr int64_t kEvaluationTokens = 1024;

/// Loss of one sample.
struct SampleLoss {
  double sum = 0; // Σ weight · loss over its target tokens
  double weight = 0; // Σ weight
};

/// The losses of a dataset's samples, in order.
std::vector<SampleLoss> sample_losses(
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick);

/// Σ loss and Σ weight of a dataset.
struct Evaluation {
  double loss_sum = 0;
  double target_tokens = 0;
  double mean() const {
    return loss_sum / target_tokens;
  }
};
Evaluation total(std::span<const SampleLoss> losses);
Evaluation evaluate(
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick);

} // namespace accrue
