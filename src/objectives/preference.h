// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "objectives/objective.h"

namespace accrue {

/// Log-probability of each answer of a pair under the reference model.
struct PairReference {
  double chosen = 0;
  double rejected = 0;
};

/// Σ over pairs of -log σ(margin), margin = beta · (log-ratio of chosen - that
/// of rejected), the tokens of pair i being sequences 2i and 2i + 1 of `batch`.
/// Only tokens whose weight is not 0 belong to the answers. Figures: Σ margin,
/// number of pairs whose margin is > 0.
LossTerms preference_terms(
    const TokenBatch& batch,
    std::vector<PairReference> references,
    double beta,
    Dtype dtype);

/// The references of a dataset, by sample, under the model as it is now.
std::vector<PairReference> compute_references(
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick);

void save_references(
    const std::filesystem::path& path,
    const std::vector<PairReference>& train,
    const std::vector<PairReference>& valid);

/// Throws DataError if the file is damaged or of other data.
void load_references(
    const std::filesystem::path& path,
    std::vector<PairReference>& train,
    std::vector<PairReference>& valid);

/// Direct preference optimisation (arXiv 2305.18290). The reference model is
/// the one before training; with LoRA, the one without adapters.
class Preference final : public Objective {
 public:
  Preference(double beta, Dtype dtype) : beta_(beta), dtype_(dtype) {}

  bool reads_pairs() const override {
    return true;
  }
  void prepare(const Preparation& preparation) override;
  std::vector<std::string> files() const override;
  LossTerms terms(const TokenBatch& batch, const Examples& examples)
      const override;
  void report(
      std::span<const double> figures,
      double weight,
      report::StepMetrics& metrics) const override;
  void validate(
      const Transformer& model,
      const ConcatDataset& valid,
      int64_t max_tokens,
      const ProgressCallback& tick,
      report::StepMetrics& metrics) const override;

 private:
  double beta_;
  Dtype dtype_;
  std::vector<PairReference> train_; // by sample
  std::vector<PairReference> valid_;
};

} // namespace accrue
