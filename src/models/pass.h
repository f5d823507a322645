// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "accrue/models/transformer.h"
#include "models/kv_cache.h"
#include "models/model_weights.h"

// The parts of a transformer, each with its own backward. A part keeps only its
// input and the values that would take another matrix product to compute again.

namespace accrue {

/// From the gradient of an output to that of the input, in the same memory if
/// possible: it runs once and owns its argument.
using Backward = std::function<at::Tensor(const at::Tensor&)>;

/// Backward functions in the order of the forward pass.
using Tape = std::vector<Backward>;

struct PassState;

/// One pass of a micro-batch through a model, without autograd. Gradients of
/// parameters are added to `sums` by the backward functions and by the head.
class Pass {
 public:
  /// Puts trained rows into their tables, if they have changed.
  /// With a cache the batch is one sequence that goes on where the cache ends:
  /// its first tokens, or one more. A pass with a cache, or without `sums`,
  /// computes no gradients.
  Pass(
      std::shared_ptr<ModelWeights> weights,
      TokenBatch batch,
      const tensor::DropoutKey& dropout,
      Accumulators* sums = nullptr,
      KeyValueCache* cache = nullptr);

  /// The blocks' output [T, C] for the whole batch. With a tape, the functions
  /// that propagate its gradient are appended to the tape. With `recompute`
  /// they keep only the input of every block and compute the rest again: the
  /// same bits, a third more work.
  at::Tensor hidden(bool recompute, Tape* tape) const;

  /// Logits [R, V] of the rows of x from `first` on.
  at::Tensor logits(const at::Tensor& x, int64_t first = 0) const;

  /// Σ weight · cross-entropy, or the objective of the tokens' cross-entropies:
  /// an fp64 scalar. With `dx` [T, C], zeros, also the gradient of x and those
  /// of the head, so that its logits are made only once.
  at::Tensor loss(
      const at::Tensor& x,
      const TokenObjective& objective,
      const at::Tensor& dx) const;

  /// Cross-entropy [T] where the weight is not 0, fp64.
  at::Tensor token_losses(const at::Tensor& x) const;

 private:
  /// Output of a part of a block and the function for its gradient.
  struct Part {
    at::Tensor y;
    Backward backward;
  };
  Part embed() const;
  Part block(size_t index, const at::Tensor& x) const;
  Part attention(size_t block, const at::Tensor& x) const;
  /// The tokens' weighted losses [T]; with `dx` [T, C] also gradients.
  at::Tensor run_head(
      const at::Tensor& x,
      const at::Tensor& weights,
      const at::Tensor& dx) const;
  /// `with_output` false: leaves out the last matrix product, which backward
  /// does not need.
  Part mlp(size_t block, const at::Tensor& x, bool with_output = true) const;

  std::shared_ptr<const PassState> state_;
};

} // namespace accrue
