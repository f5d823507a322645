#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "accrue/models/transformer.h"
#include "report/progress.h"
#include "text/dataset.h"

// Direct preference optimisation (arXiv 2305.18290).

namespace accrue {

/// Log-probability of each answer of a pair under the reference model.
struct PairReference {
  double chosen = 0;
  double rejected = 0;
};

/// Sums over pairs.
struct PairSums {
  double margin = 0; // beta · (log-ratio of chosen - that of rejected)
  double accuracy = 0; // pairs whose margin is > 0
};

/// Means over the validation set.
struct ValidLoss {
  double loss = 0; // per target token, of dpo per pair
  PairSums pairs; // of dpo, per pair
};

/// Σ over pairs of -log σ(margin), the tokens of pair i being sequences 2i and
/// 2i + 1 of `batch`. Only tokens whose weight is not 0 belong to the answers.
/// Adds to `sums`. All three must live as long as the objective is used.
TokenObjective preference_objective(
    const TokenBatch& batch,
    std::span<const PairReference> references,
    double beta,
    Dtype dtype,
    PairSums& sums);

/// The references of a dataset, by sample: the model as it is now.
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

} // namespace accrue
