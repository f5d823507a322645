// SPDX-License-Identifier: Apache-2.0
#include "objectives/objective.h"

#include <numeric>

#include "objectives/batch.h"

namespace accrue {

void Objective::validate(
    const Transformer& model,
    const ConcatDataset& valid,
    int64_t max_tokens,
    const ProgressCallback& tick,
    report::StepMetrics& metrics) const {
  metrics.valid_loss = evaluate(*this, model, valid, max_tokens, tick).loss;
}

DatasetMeans evaluate(
    const Objective& objective,
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick) {
  DatasetMeans means;
  double weight = 0;
  for_each_batch(
      dataset,
      max_tokens,
      [&](uint64_t first, std::span<const Sample> samples) {
        std::vector<uint64_t> indices(samples.size());
        std::iota(indices.begin(), indices.end(), first);
        const TokenBatch batch = make_batch(samples);
        const LossTerms terms =
            objective.terms(batch, {samples, indices, Examples::Set::kValid});
        means.loss += model.loss_sum(batch, {}, terms.objective).item<double>();
        weight += terms.weight.value;
        if (terms.figures) {
          means.figures.resize(terms.figures->size());
          for (size_t i = 0; i < means.figures.size(); ++i) {
            means.figures[i] += (*terms.figures)[i];
          }
        }
        tick("evaluating", first + samples.size(), dataset.size());
      });
  means.loss /= weight;
  for (double& figure : means.figures) {
    figure /= weight;
  }
  return means;
}

double sample_loss(
    const Objective& objective,
    const Transformer& model,
    const Sample& sample,
    uint64_t index) {
  const std::span<const Sample> samples(&sample, 1);
  const TokenBatch batch = make_batch(samples);
  const LossTerms terms = objective.terms(batch, {samples, {&index, 1}});
  return model.loss_sum(batch, {}, terms.objective).item<double>() /
      terms.weight.value;
}

} // namespace accrue
