// SPDX-License-Identifier: Apache-2.0
#include "objectives/preference.h"

#include <ATen/ops/clone.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/util/ScopeExit.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "core/functions.h"
#include "objectives/batch.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReferences = "reference.safetensors";

/// log(1 + exp(x)) without overflow.
double softplus(double x) {
  return std::max(x, 0.0) + logarithm_plus_one(exponential(-std::abs(x)));
}

/// Log-probability of sequence i from the losses of the tokens.
double log_probability(
    const TokenBatch& batch,
    const std::vector<double>& losses,
    size_t i) {
  auto at = [&](size_t sequence) {
    return losses.begin() + batch.offsets[sequence];
  };
  return -std::accumulate(at(i), at(i + 1), 0.0);
}

std::vector<double> to_vector(const at::Tensor& x) {
  const at::Tensor host = x.cpu();
  const auto values = host.accessor<double, 1>();
  std::vector<double> list;
  for (int64_t i = 0; i < host.size(0); ++i) {
    list.push_back(values[i]);
  }
  return list;
}

at::Tensor to_tensor(const std::vector<PairReference>& list) {
  at::Tensor tensor =
      at::empty({static_cast<int64_t>(list.size()), 2}, at::kDouble);
  auto out = tensor.accessor<double, 2>();
  for (size_t i = 0; i < list.size(); ++i) {
    out[static_cast<int64_t>(i)][0] = list[i].chosen;
    out[static_cast<int64_t>(i)][1] = list[i].rejected;
  }
  return tensor;
}

} // namespace

LossTerms preference_terms(
    const TokenBatch& batch,
    std::vector<PairReference> references,
    double beta,
    Dtype dtype) {
  LossTerms terms{
      .weight = references.size(),
      .figures = std::make_shared<std::vector<double>>(2, 0.0)};
  terms.objective = [batch, references, beta, dtype, figures = terms.figures](
                        const at::Tensor& losses,
                        const at::Tensor& derivative) {
    const std::vector<double> loss = to_vector(losses);
    std::vector<double> slope(loss.size());
    // fp64 keeps all its digits, as it does for tokens.
    auto rounded = [&](double value) {
      return dtype == Dtype::kFp64 ? value : summable(value);
    };
    double total = 0;
    for (size_t i = 0; i < references.size(); ++i) {
      const double margin = beta *
          ((log_probability(batch, loss, 2 * i) - references[i].chosen) -
           (log_probability(batch, loss, 2 * i + 1) - references[i].rejected));
      total += rounded(softplus(-margin));
      (*figures)[0] += rounded(margin);
      (*figures)[1] += margin > 0 ? 1 : 0;
      // d loss / d margin = -σ(-margin); a token's loss is minus its part of
      // the log-probability.
      const double weight = beta / (1 + exponential(margin));
      auto at = [&](size_t sequence) {
        return slope.begin() + batch.offsets[sequence];
      };
      std::fill(at(2 * i), at(2 * i + 1), weight);
      std::fill(at(2 * i + 1), at(2 * i + 2), -weight);
    }
    derivative.copy_(at::tensor(slope, at::kDouble));
    derivative.masked_fill_(batch.weights.eq(0), 0);
    return total;
  };
  return terms;
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
        const std::vector<double> loss = to_vector(model.token_losses(batch));
        for (size_t i = 0; i < samples.size(); ++i) {
          references.push_back(
              {log_probability(batch, loss, 2 * i),
               log_probability(batch, loss, 2 * i + 1)});
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
    const auto from = tensor.accessor<double, 2>();
    for (size_t i = 0; i < list.size(); ++i) {
      const auto pair = from[static_cast<int64_t>(i)];
      list[i] = {pair[0], pair[1]};
    }
  };
  read(train_tensor, train);
  read(valid_tensor, valid);
}

void Preference::prepare(const Preparation& p) {
  const fs::path file = p.folder.empty() ? "" : p.folder / kReferences;
  if (p.resumes) {
    train_.resize(p.data.train.size());
    valid_.resize(p.data.valid != nullptr ? p.data.valid->size() : 0);
    load_references(file, train_, valid_);
    return;
  }
  // Adapters that go on from others are part of what is trained.
  TensorMap adapters = p.model.adapters();
  TensorMap kept;
  for (const auto& [name, tensor] : adapters) {
    kept[name] = tensor.detach().clone();
  }
  // Also when memory runs out.
  auto restore = c10::make_scope_exit([&] { copy_tensors(kept, adapters); });
  p.model.clear_adapters();
  train_ = compute_references(p.model, p.data.train, p.max_tokens, p.tick);
  if (p.data.valid != nullptr) {
    valid_ = compute_references(p.model, *p.data.valid, p.max_tokens, p.tick);
  }
  if (!file.empty()) {
    save_references(file, train_, valid_);
  }
}

std::vector<std::string> Preference::files() const {
  return {kReferences};
}

LossTerms Preference::terms(const TokenBatch& batch, const Examples& examples)
    const {
  // Any reference takes the same memory and time in a probe.
  std::vector<PairReference> references(examples.samples.size());
  const auto& known = examples.set == Examples::Set::kValid ? valid_ : train_;
  for (size_t i = 0; i < examples.indices.size(); ++i) {
    references[i] = known.at(examples.indices[i]);
  }
  return preference_terms(batch, std::move(references), beta_, dtype_);
}

void Preference::report(
    std::span<const double> figures,
    double weight,
    report::StepMetrics& metrics) const {
  // A window whose pairs were all skipped has none.
  metrics.reward_margin = (figures.empty() ? 0 : figures[0]) / weight;
  metrics.reward_accuracy = (figures.empty() ? 0 : figures[1]) / weight;
}

void Preference::validate(
    const Transformer& model,
    const ConcatDataset& valid,
    int64_t max_tokens,
    const ProgressCallback& tick,
    report::StepMetrics& metrics) const {
  const DatasetMeans means = evaluate(*this, model, valid, max_tokens, tick);
  metrics.valid_loss = means.loss;
  metrics.valid_reward_margin = means.figures[0];
  metrics.valid_reward_accuracy = means.figures[1];
}

} // namespace accrue
