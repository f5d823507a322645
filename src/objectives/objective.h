// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "core/progress.h"
#include "report/metrics.h"
#include "text/dataset.h"

namespace accrue {

/// Samples that go through the model at once.
struct Examples {
  enum class Set { kTrain, kValid, kProbe };

  std::span<const Sample> samples;
  /// Index of every sample in its dataset; none for samples made for a probe.
  std::span<const uint64_t> indices;
  Set set = Set::kTrain;
};

/// The datasets of a run.
struct Datasets {
  const ConcatDataset& train;
  const ConcatDataset* valid; // nullptr: none
};

/// How an objective works out the loss of a batch.
struct LossTerms {
  /// Loss of the tokens' cross-entropies; nullptr: their weighted sum.
  TokenObjective objective;
  /// Divisor of the loss.
  LossWeight weight;
  /// Sums over the samples that report() explains; filled by `objective`.
  std::shared_ptr<std::vector<double>> figures;
};

/// Training objective: the kind of samples it reads, what it prepares before
/// the first step, its loss, metrics and validation. Language modelling and DPO
/// are two of them; the code of a run uses only this interface.
class Objective {
 public:
  virtual ~Objective() = default;

  /// Whether a sample is a pair of answers, the preferred one first.
  virtual bool reads_pairs() const {
    return false;
  }

  /// Work before the first step of a run, at most `max_tokens` tokens at once.
  struct Preparation {
    Transformer& model;
    Datasets data;
    std::filesystem::path folder; // of the run; empty: keep nothing
    bool resumes = false; // read what an earlier start left in `folder`
    int64_t max_tokens = 0;
    ProgressCallback tick;
  };
  virtual void prepare(const Preparation&) {}
  /// Files that prepare() leaves in the folder of the run, and that a resumed
  /// run must find unchanged.
  virtual std::vector<std::string> files() const {
    return {};
  }

  /// The loss of `batch`, which holds the sequences of `examples`.
  virtual LossTerms terms(const TokenBatch& batch, const Examples& examples)
      const = 0;

  /// Writes means of a window's figures into the metrics of its step.
  virtual void report(
      std::span<const double> /*figures*/,
      double /*weight*/,
      report::StepMetrics& /*metrics*/) const {}

  /// Evaluates the validation set, at most `max_tokens` tokens at once, and
  /// writes the mean loss, and more, into the metrics of a step.
  virtual void validate(
      const Transformer& model,
      const ConcatDataset& valid,
      int64_t max_tokens,
      const ProgressCallback& tick,
      report::StepMetrics& metrics) const;
};

/// Means over a whole dataset.
struct DatasetMeans {
  double loss = 0;
  std::vector<double> figures;
};
DatasetMeans evaluate(
    const Objective& objective,
    const Transformer& model,
    const ConcatDataset& dataset,
    int64_t max_tokens,
    const ProgressCallback& tick);

/// Mean loss of one sample as the model is now, without dropout.
double sample_loss(
    const Objective& objective,
    const Transformer& model,
    const Sample& sample,
    uint64_t index);

} // namespace accrue
