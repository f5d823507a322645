// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "accrue/window/split.h"
#include "device/budget.h"
#include "drive/micro_batching.h"
#include "objectives/objective.h"
#include "report/progress.h"
#include "run/spec.h"
#include "run/training_data.h"

namespace accrue {

/// The objective that the settings name.
std::unique_ptr<Objective> make_objective(const TrainOptions& options);

/// Settings, data, model, objective and budget of a run, checked and loaded.
/// The commands train, plan and verify start from a Task.
class Task {
 public:
  /// Checks everything before it allocates anything. Throws ConfigError with
  /// all problems of the settings and those already `known`, DataError for
  /// files, MemoryError if the weights alone are beyond the budget. Without an
  /// `objective` it is the one that the settings name.
  Task(
      const TrainOptions& options,
      bool needs_out,
      const ProgressCallback& tick,
      const Problems& known = {},
      std::unique_ptr<Objective> objective = nullptr);

  const RunSpec& spec() const {
    return spec_;
  }
  const TrainOptions& options() const {
    return spec_.options;
  }
  const ModelSource& source() const {
    return spec_.source;
  }
  /// Samples of a full window.
  int64_t global_batch() const {
    return spec_.global_batch;
  }
  const TrainingData& data() const {
    return data_;
  }
  const ConcatDataset& train_set() const {
    return *data_.train;
  }
  /// nullptr without validation data.
  const ConcatDataset* valid_set() const {
    return data_.valid ? &*data_.valid : nullptr;
  }
  Datasets datasets() const {
    return {train_set(), valid_set()};
  }
  int64_t total_steps() const {
    return data_.total_steps;
  }
  const Transformer& model() const {
    return *model_;
  }
  Transformer& model() {
    return *model_;
  }
  const Objective& objective() const {
    return *objective_;
  }
  Objective& objective() {
    return *objective_;
  }
  const at::Device& device() const {
    return device_;
  }
  /// "cpu", or the kind of GPU.
  std::string device_name() const;
  /// Device and versions that decide the bits of a run.
  std::string numerics() const;
  /// Most tokens of a grain; 0: every sample is one.
  int64_t grain_tokens() const;
  /// The most that the process may take: --memory, or a share of what is free.
  device::Budget& budget() const {
    return *budget_;
  }

  /// Positions in the sample order that the window of `step` (from 0) covers.
  Range window_range(int64_t step) const;

  /// Limits of a micro-batch: tokens if it was planned, because probes use the
  /// longest sample; samples if --micro-batch gives it.
  drive::MicroBatching batching(const drive::MicroBatching& planned) const;

  /// A fresh optimizer over the model's parameters.
  std::unique_ptr<Optimizer> make_optimizer() const;

  double learning_rate(int64_t step) const;

 private:
  RunSpec spec_;
  std::unique_ptr<Objective> objective_;
  at::Device device_;
  std::unique_ptr<device::Budget> budget_;
  TrainingData data_;
  std::optional<Transformer> model_;
};

} // namespace accrue
