// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "objectives/objective.h"

namespace accrue {

/// Cross-entropy of the next token, averaged over target tokens.
class LanguageModel final : public Objective {
 public:
  LossTerms terms(const TokenBatch& batch, const Examples& examples)
      const override;
  void validate(
      const Transformer& model,
      const ConcatDataset& valid,
      int64_t max_tokens,
      const ProgressCallback& tick,
      report::StepMetrics& metrics) const override;
};

} // namespace accrue
