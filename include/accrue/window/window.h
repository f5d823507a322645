#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <cstdint>
#include <vector>

#include "accrue/optim/optimizer.h"

namespace torch::optim {
class Optimizer;
}

namespace accrue {

/// What a loss is averaged over (target tokens, sequences, pairs): any number.
struct Weight {
  double value = 0;

  Weight() = default;
  template <class T>
  requires std::convertible_to<T, double> Weight(T number)
      : value(static_cast<double>(number)) {}
};

/// What a loss function returns for one micro-batch: the weighted *sum* of its
/// losses and the sum of the weights. There is no place for a mean, and a bare
/// tensor does not convert to it.
struct LossSum {
  /// Σ w·loss, one element, with a graph to the parameters.
  at::Tensor sum;
  /// Σ w ≥ 0.
  Weight weight;
};

/// What to do with a micro-batch whose loss or gradient is NaN or infinite.
enum class OnNonFinite {
  /// Throw NonFiniteError; nothing has been updated.
  kError,
  /// Leave it out of both sums and count it. Costs a second set of gradients,
  /// a copy of the last good ones.
  kSkip,
};

struct WindowOptions {
  OnNonFinite on_nonfinite = OnNonFinite::kError;
};

struct CommitOptions {
  /// Largest global L2 norm of the divided gradient; 0 = no clipping.
  double clip_norm = 0;
};

/// What one window did.
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
/// That is how a tied weight is used at two places whose gradients are made at
/// different times.
///
/// A parameter that got no gradient in a window is left alone, as one big batch
/// leaves it: no decay, no momentum. So is a frozen one. Between windows
/// parameters may be frozen, unfrozen, tied, loaded and moved.
///
/// Gradients belong to the window from its first add() to commit: Error for
/// one that was written or replaced by others. Before it zero_grad() is fine.
///
/// Not thread-safe.
class Window {
 public:
  explicit Window(
      std::vector<at::Tensor> parameters,
      WindowOptions options = {});

  /// Starts afresh: forgets everything added since the last commit. The
  /// constructor and commit call it; call it yourself to give up a window, or
  /// to go on after an error.
  void begin();

  /// Runs backward on `loss.sum` and adds to the accumulators. A weight of 0
  /// contributes exactly nothing. Returns false if the micro-batch was left
  /// out by policy. Throws NonFiniteError by policy, Error for a loss that is
  /// no sum; after any exception begin() must come first.
  bool add(const LossSum& loss);

  /// Divides the accumulated gradient by the total weight and clips it. The
  /// result is in gradients() until begin(). Throws Error if nothing was added
  /// or the total weight is 0, NonFiniteError by policy.
  StepReport normalize(const CommitOptions& options = {});

  /// normalize(), one optimizer step, begin(). If every micro-batch was
  /// skipped there is no step. Throws Error unless the optimizer was given
  /// the parameters of this window.
  StepReport commit(Optimizer& optimizer, const CommitOptions& options = {});

  /// The same for LibTorch's optimizers, which read `.grad`.
  StepReport commit(
      torch::optim::Optimizer& optimizer,
      const CommitOptions& options = {});

  /// The parameters in the order given, frozen ones included, of those that
  /// share their memory the first.
  std::vector<at::Tensor> parameters() const;

  /// The accumulated (after normalize(): divided and clipped) gradients, in
  /// fp32 or fp64, undefined where a parameter has had none in this window.
  std::vector<at::Tensor> gradients() const;

 private:
  enum class State { kOpen, kNormalized, kFailed };

  /// A parameter as a window finds it, and must find it to its end.
  struct Found {
    const void* memory;
    at::ScalarType dtype;
    bool trained;

    bool operator==(const Found&) const = default;
  };

  /// The parameter's `.grad` is its accumulator.
  bool direct(size_t i) const;
  std::vector<Found> look() const;
  std::vector<size_t> owners() const;
  std::vector<at::Tensor> gradients_for(
      const std::vector<at::Tensor>& stepped) const;
  void settle(size_t i);
  void check(const LossSum& loss, double sum) const;
  void check_parameters();
  void check_gradients(uint64_t folds);
  std::vector<bool> fold();
  void mark();
  void merge_aliases();
  bool finite() const;
  void remember();
  void restore();
  void scale(double divisor);
  void hide_others();
  void expose_gradients();

  std::vector<at::Tensor> parameters_;
  std::vector<Found> found_; // by the first add()
  std::vector<at::Tensor> accumulators_; // where direct, the same as `.grad`
  std::vector<uint32_t> versions_; // of them, as this window left them
  uint64_t folds_ = 0; // then
  std::vector<bool> added_; // something that was kept, in this window
  std::vector<at::Tensor> last_good_; // copies, for OnNonFinite::kSkip
  WindowOptions options_;
  State state_ = State::kOpen;
  double loss_sum_ = 0;
  double weight_ = 0;
  int64_t micro_batches_ = 0;
  int64_t skipped_ = 0;
};

} // namespace accrue
