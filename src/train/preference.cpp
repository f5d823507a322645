#include "train/preference.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "core/functions.h"
#include "train/batch.h"

namespace accrue {
namespace {

/// log(1 + exp(x)) without overflow.
double softplus(double x) {
  return std::max(x, 0.0) + logarithm_plus_one(exponential(-std::abs(x)));
}

/// Multiples of 2⁻²⁴, so that sums don't depend on how a window is split
/// (docs/bits.md). fp64 keeps all its digits, as it does for tokens.
double summable(double value, Dtype dtype) {
  return dtype == Dtype::kFp64 || !std::isfinite(value)
      ? value
      : std::rint(value * 0x1p24) * 0x1p-24;
}

/// Σ of a sequence's token losses: minus its log-probability.
double sequence_loss(const TokenBatch& batch, const double* losses, size_t i) {
  return std::accumulate(
      losses + batch.offsets[i], losses + batch.offsets[i + 1], 0.0);
}

at::Tensor to_tensor(const std::vector<PairReference>& list) {
  at::Tensor tensor =
      at::empty({static_cast<int64_t>(list.size()), 2}, at::kDouble);
  double* out = tensor.mutable_data_ptr<double>();
  for (const PairReference& pair : list) {
    *out++ = pair.chosen;
    *out++ = pair.rejected;
  }
  return tensor;
}

} // namespace

TokenObjective preference_objective(
    const TokenBatch& batch,
    std::span<const PairReference> references,
    double beta,
    Dtype dtype,
    PairSums& sums) {
  return [&batch, references, beta, dtype, &sums](
             const at::Tensor& token_losses, const at::Tensor& derivative) {
    const double* losses = token_losses.const_data_ptr<double>();
    double* slope = derivative.mutable_data_ptr<double>();
    const double* asked = batch.weights.const_data_ptr<double>();
    double total = 0;
    for (size_t i = 0; i < references.size(); ++i) {
      double chosen = -sequence_loss(batch, losses, 2 * i);
      double rejected = -sequence_loss(batch, losses, 2 * i + 1);
      double margin = beta *
          ((chosen - references[i].chosen) -
           (rejected - references[i].rejected));
      total += summable(softplus(-margin), dtype);
      sums.margin += summable(margin, dtype);
      sums.accuracy += margin > 0 ? 1 : 0;
      // d loss / d margin = -σ(-margin); a token's loss is minus its part of
      // the log-probability.
      double weight = beta / (1 + exponential(margin));
      auto fill = [&](size_t sequence, double value) {
        for (int64_t t = batch.offsets[sequence];
             t < batch.offsets[sequence + 1];
             ++t) {
          slope[t] = asked[t] != 0 ? value : 0;
        }
      };
      fill(2 * i, weight);
      fill(2 * i + 1, -weight);
    }
    return total;
  };
}

std::vector<PairReference> compute_references(
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick) {
  std::vector<PairReference> references;
  references.reserve(dataset.size());
  for_each_batch(
      dataset,
      max_tokens,
      [&](uint64_t first, std::span<const Sample> samples) {
        TokenBatch batch = make_batch(samples);
        at::Tensor losses = model.token_losses(batch);
        const double* loss = losses.const_data_ptr<double>();
        for (size_t i = 0; i < samples.size(); ++i) {
          references.push_back(
              {-sequence_loss(batch, loss, 2 * i),
               -sequence_loss(batch, loss, 2 * i + 1)});
        }
        tick("reference", first + samples.size(), dataset.size());
      });
  return references;
}

void save_references(
    const std::filesystem::path& path,
    const std::vector<PairReference>& train,
    const std::vector<PairReference>& valid) {
  save_safetensors(
      path, {{"train", to_tensor(train)}, {"valid", to_tensor(valid)}});
}

void load_references(
    const std::filesystem::path& path,
    std::vector<PairReference>& train,
    std::vector<PairReference>& valid) {
  at::Tensor train_tensor = to_tensor(train);
  at::Tensor valid_tensor = to_tensor(valid);
  load_safetensors(path, {{"train", train_tensor}, {"valid", valid_tensor}});
  auto read = [](const at::Tensor& tensor, std::vector<PairReference>& list) {
    const double* from = tensor.const_data_ptr<double>();
    for (PairReference& pair : list) {
      pair.chosen = *from++;
      pair.rejected = *from++;
    }
  };
  read(train_tensor, train);
  read(valid_tensor, valid);
}

} // namespace accrue
