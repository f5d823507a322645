#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "accrue/core/units.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"

namespace accrue {

struct AccumulateOptions {
  /// Samples per optimizer step. A call may bring fewer, such as the last one
  /// of an epoch, but not more.
  int64_t global_batch = 0;
  /// The most that the process may take. Left out, only the device's own limit
  /// counts. CPU only.
  std::optional<Bytes> memory;
  /// Samples per micro-batch to begin with. Left out, the fastest size that
  /// fits is found on the way, from 1 up.
  std::optional<int64_t> micro_batch;
  /// Largest global L2 norm of the divided gradient; 0 = no clipping.
  double clip_norm = 0;
  OnNonFinite on_nonfinite = OnNonFinite::kError;
};

/// Trains a module of yours at a large batch within a memory budget: cuts every
/// batch into micro-batches, finds the fastest size that fits while it works,
/// and survives running out of memory.
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
/// whatever else the process holds by then counts as part of the program.
/// Not thread-safe.
class Accumulate {
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
            [&optimizer](Window& window, const CommitOptions& commit) {
              return window.commit(optimizer, commit);
            },
            std::derived_from<AnyOptimizer, Optimizer>,
            options) {}
  ~Accumulate();

  /// One optimizer step on `batch` (see slice()). `loss_fn` takes a part of it
  /// and returns a LossSum. Throws MemoryError if one sample does not fit, and
  /// what the loss, the window or the optimizer throw; call again to go on.
  template <class Batch, class LossFn>
  StepReport operator()(const Batch& batch, LossFn&& loss_fn) {
    return run(num_samples(batch), [&](Range range) {
      return loss_fn(slice(batch, range));
    });
  }

  /// Samples per micro-batch, now.
  int64_t micro_batch() const;

  /// Windows that were begun again after running out of memory.
  int64_t rollbacks() const {
    return rollbacks_;
  }

 private:
  using LossOf = std::function<LossSum(Range)>;
  using Commit = std::function<StepReport(Window&, const CommitOptions&)>;

  Accumulate(
      std::vector<at::Tensor> parameters,
      std::vector<at::Tensor> buffers,
      Commit commit,
      bool optimizer_has_state,
      const AccumulateOptions& options);

  at::Device device() const;
  StepReport run(int64_t samples, const LossOf& loss_of);
  bool try_window(int64_t samples, const LossOf& loss_of);
  void learn(int64_t size, uint64_t peak_bytes, double seconds);
  bool fits(int64_t size) const;

  Window window_;
  std::vector<at::Tensor> buffers_;
  Commit commit_;
  AccumulateOptions options_;
  std::unique_ptr<struct MicroBatchSizes> sizes_;
  uint64_t limit_bytes_ = 0; // of tensors; 0 = none
  uint64_t optimizer_bytes_ = 0; // still to come with its first step
  int64_t rollbacks_ = 0;
};

} // namespace accrue
