// SPDX-License-Identifier: Apache-2.0
#include "objectives/language_model.h"

#include "objectives/batch.h"

namespace accrue {

LossTerms LanguageModel::terms(const TokenBatch& batch, const Examples&) const {
  return {.weight = batch.target_weight};
}

/// Sums sample by sample, as `accrue eval` does.
void LanguageModel::validate(
    const Transformer& model,
    const ConcatDataset& valid,
    int64_t max_tokens,
    const ProgressCallback& tick,
    report::StepMetrics& metrics) const {
  metrics.valid_loss = evaluate(model, valid, max_tokens, tick).mean();
}

} // namespace accrue
