// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "accrue/core/export.h"
#include "accrue/core/units.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"

namespace accrue {

struct AccumulateOptions {
  /// Samples per optimizer step. A call may bring fewer, such as the last one
  /// of an epoch, but not more.
  int64_t global_batch = 0;
  /// The most memory that the process may take: of the host for a module on the
  /// CPU, of its device for one on CUDA. Left out, only the device's own limit
  /// counts.
  std::optional<Bytes> memory;
  /// Samples per micro-batch to begin with. Left out, the fastest size that
  /// fits is found on the way, from 1 up.
  std::optional<int64_t> micro_batch;
  /// Largest global L2 norm of the divided gradient; 0 = no clipping.
  double clip_norm = 0;
  OnNonFinite on_nonfinite = OnNonFinite::kError;
};

/// Trains a module of yours at a large batch within a memory budget: splits
/// every batch into micro-batches, finds the fastest size that fits while it
/// works, and survives running out of memory.
///
///   Accumulate step(model, optimizer, {.global_batch = 512, .memory = 4_GiB});
///   for (auto& batch : loader)
///     StepReport report = step(batch, [&](const auto& micro) {
///       return LossSum{loss_sum(model, micro), target_tokens(micro)};
///     });
///
/// Out of memory inside a window rolls it back: accumulators, buffers of the
/// module and random state are as they were, and the window is done again in
/// smaller pieces. The optimizer's step is never repeated.
///
/// With a budget, tensors come from accrue's allocator from the constructor on;
/// memory that the process holds before that counts as part of the program.
/// Not thread-safe.
class ACCRUE_API Accumulate {
 public:
  /// `model`: a torch::nn module holder or pointer. `optimizer`: accrue's or
  /// LibTorch's. Both must outlive this. Throws ConfigError for sizes that
  /// are not > 0, MemoryError if the budget is used up already.
  template <class Module, class AnyOptimizer>
  Accumulate(
      const Module& model,
      AnyOptimizer& optimizer,
      const AccumulateOptions& options)
      : Accumulate(
            model->parameters(),
            model->buffers(),
            [&optimizer](Window& window) { window.step(optimizer); },
            std::derived_from<AnyOptimizer, Optimizer>,
            options) {}
  ~Accumulate();
  Accumulate(const Accumulate&) = delete;
  Accumulate& operator=(const Accumulate&) = delete;

  /// Does one optimizer step on `batch` (see slice()). `loss_fn` takes a part
  /// of the batch and returns a LossSum. Throws MemoryError if one sample does
  /// not fit, and the exceptions of the loss, the window and the optimizer; a
  /// later call goes on.
  template <class Batch, class LossFn>
  StepReport operator()(const Batch& batch, LossFn&& loss_fn) {
    return run(num_samples(batch), [&](Range range) {
      return loss_fn(slice(batch, range));
    });
  }

  /// Present number of samples per micro-batch.
  [[nodiscard]] int64_t micro_batch() const;

  /// Windows that were begun again after running out of memory.
  [[nodiscard]] int64_t rollbacks() const;

 private:
  using LossOf = std::function<LossSum(Range)>;
  using Step = std::function<void(Window&)>;

  Accumulate(
      std::vector<at::Tensor> parameters,
      std::vector<at::Tensor> buffers,
      Step step,
      bool optimizer_has_state,
      const AccumulateOptions& options);

  StepReport run(int64_t samples, const LossOf& loss_of);

  class Snapshot;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace accrue
