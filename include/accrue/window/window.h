// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "accrue/core/export.h"
#include "accrue/optim/optimizer.h"
#include "accrue/window/accumulators.h"
#include "accrue/window/loss.h"

namespace torch::optim {
class Optimizer;
}

namespace accrue {

/// Policy for a micro-batch whose loss or gradient is NaN or infinite.
enum class OnNonFinite {
  /// Throw NonFiniteError at commit; nothing has been updated.
  kError,
  /// Leave it out of both sums and count it. Reads every loss back at once and
  /// keeps a copy of the last good sums.
  kSkip,
};

struct WindowOptions {
  OnNonFinite on_nonfinite = OnNonFinite::kError;
};

struct CommitOptions {
  /// Largest global L2 norm of the divided gradient; 0 = no clipping.
  double clip_norm = 0;
};

/// Figures of one window.
struct StepReport {
  /// Σ loss / Σ weight over the window. NaN if nothing was left to average.
  double loss = 0;
  /// Σ weight, the divisor of loss and gradient.
  double weight = 0;
  /// Global L2 norm of the divided gradient, before clipping.
  double grad_norm = 0;
  /// N, the number of accumulation steps, skipped ones included.
  int64_t micro_batches = 0;
  /// Micro-batches left out because they were not finite.
  int64_t skipped = 0;
};

/// Gradient accumulation between two optimizer steps, equivalent to one big
/// batch (docs/window.md):
///
///   Window window(model->parameters());
///   for (auto micro : split(batch, 4))
///     window.add({.sum = loss_sum(model, micro), .weight = tokens(micro)});
///   StepReport report = window.commit(optimizer, {.clip_norm = 1.0});
///
/// Per micro-batch the *sum* is differentiated and added up; at commit the
/// total is divided once by the total weight, then clipped, then stepped.
/// Gradients of bf16 and fp16 parameters are added up in fp32. For fp32 and
/// fp64 parameters the accumulator is the parameter's own `.grad`: no copy.
///
/// Parameters that share their memory are one parameter: the first of them
/// takes part, the gradients of the others are added to its own at commit.
///
/// A parameter that got no gradient in a window is left alone, as one big batch
/// leaves it: no decay, no momentum. So is a frozen one. Between windows
/// parameters may be frozen, unfrozen, tied, loaded and moved.
///
/// Gradients belong to the window from its first add() to commit: one that is
/// written or replaced by others is an Error. Before that zero_grad() is fine.
///
/// Losses are read back from the device once, at commit.
///
/// Not thread-safe.
class ACCRUE_API Window {
 public:
  explicit Window(
      std::vector<at::Tensor> parameters,
      WindowOptions options = {});
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  /// Starts afresh: forgets everything added since the last commit. The
  /// constructor and commit call it; call it yourself to give up a window, or
  /// to go on after an error.
  void begin();

  /// Runs backward on `loss.sum` and adds to the accumulators. A weight of 0
  /// contributes exactly nothing. Returns false if the micro-batch was left
  /// out by policy. Throws Error for a loss that is not one element with a
  /// graph; after any exception begin() must come first.
  bool add(const LossSum& loss);
  /// Adds the loss of a model that differentiates itself.
  bool add(const ModelLoss& loss);

  /// Divides the accumulated gradient by the total weight and clips it. The
  /// result is in gradients() until begin(). Throws Error if nothing was added,
  /// the total weight is 0, or a micro-batch of weight 0 had a loss;
  /// NonFiniteError by policy, naming the first bad micro-batch.
  StepReport normalize(const CommitOptions& options = {});

  /// One optimizer step with the gradients of normalize(), then begin(). No
  /// step if every micro-batch was skipped. Throws Error unless the optimizer
  /// was given the parameters of this window.
  void step(Optimizer& optimizer);
  /// The same for LibTorch's optimizers, which read `.grad`.
  void step(torch::optim::Optimizer& optimizer);

  /// normalize() and step().
  template <class AnyOptimizer>
  StepReport commit(
      AnyOptimizer& optimizer,
      const CommitOptions& options = {}) {
    StepReport report = normalize(options);
    step(optimizer);
    return report;
  }

  /// The parameters in the order given, frozen ones included. Only the first of
  /// parameters that share their memory is listed.
  [[nodiscard]] std::vector<at::Tensor> parameters() const {
    return sums_.parameters();
  }

  /// The accumulated (after normalize(): divided and clipped) gradients, in
  /// fp32 or fp64, undefined where a parameter has had none in this window.
  [[nodiscard]] std::vector<at::Tensor> gradients() const {
    return sums_.gradients();
  }

  /// Bytes of the sums that this window keeps.
  [[nodiscard]] uint64_t sum_bytes() const;

  /// The state of an unfinished window: everything that add() has changed.
  struct Unfinished {
    Accumulators::Saved sums;
    /// By micro-batch: loss sum, weight, left out by policy.
    std::vector<double> losses;
    std::vector<double> weights;
    std::vector<bool> skipped;
  };
  /// Copies the state of an unfinished window. Throws Error after normalize()
  /// or an error.
  [[nodiscard]] Unfinished save() const;
  /// Goes on from a saved state, in this window or in another over the same
  /// parameters. The rest of the batch may be split in any way.
  void restore(const Unfinished& state);

 private:
  enum class State { kOpen, kNormalized, kAllSkipped, kFailed };
  struct Loss {
    at::Tensor sum; // one element, without a graph
    double weight;
    bool skipped;
  };

  void check_normalized() const;
  void begin_add(double weight);
  bool end_add(const at::Tensor& sum, double weight);
  void check_open(const char* what) const;
  std::vector<double> read_losses() const;
  double total_loss() const;

  Accumulators sums_;
  WindowOptions options_;
  State state_ = State::kOpen;
  std::vector<Loss> losses_; // by micro-batch
  Accumulators::Saved last_good_; // for OnNonFinite::kSkip
};

} // namespace accrue
