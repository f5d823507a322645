#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <numeric>

#include "accrue/core/error.h"
#include "models/blocks.h"
#include "models/graph.h"
#include "models/pass_state.h"
#include "tensor/version.h"

namespace accrue {

at::Tensor Pass::logits(const at::Tensor& x, int64_t first) const {
  at::NoGradGuard no_grad;
  const State& s = *state_;
  const Weights& w = *s.weights;
  at::Tensor rows = x.narrow(0, first, x.size(0) - first);
  auto statistics = tensor::make_statistics(w.final_norm, rows);
  at::Tensor logits =
      tensor::empty(tensor::type_of(x), {rows.size(0), w.head.weight.size(0)});
  for (int64_t begin = 0; begin < rows.size(0); begin += kChunkTokens) {
    Chunk chunk;
    chunk.begin = begin;
    chunk.end = std::min(begin + kChunkTokens, rows.size(0));
    at::Tensor normed = tensor::norm(chunk, rows, w.final_norm, statistics);
    tensor::linear(normed, w.head, s.compute(), chunk.of(logits));
  }
  return logits;
}

at::Tensor Pass::run_head(
    const at::Tensor& x,
    const at::Tensor& weights,
    const at::Tensor& dx) const {
  at::NoGradGuard no_grad;
  const State& s = *state_;
  const Weights& w = *s.weights;
  auto statistics = tensor::make_statistics(w.final_norm, x);
  at::Tensor losses = at::zeros_like(weights);
  for (const at::Tensor& parameter :
       {w.head.weight,
        w.head.rows ? w.head.rows->values : at::Tensor(),
        w.final_norm.weight,
        w.final_norm.bias}) {
    // Also where all weights are 0: a gradient of zeros is one, too.
    if (dx.defined() && tensor::gradient_of(parameter).defined()) {
      ++tensor::num_folds;
    }
  }
  for (const Chunk& chunk :
       tensor::segment_chunks(s.batch.offsets, s.compute(), kChunkTokens)) {
    if (chunk.of(weights).count_nonzero().item<int64_t>() == 0) {
      continue; // a prompt, say: its logits are not needed
    }
    at::Tensor normed = tensor::norm(chunk, x, w.final_norm, statistics);
    at::Tensor dnormed = dx.defined() ? at::empty_like(normed) : at::Tensor();
    chunk.of(losses).copy_(tensor::cross_entropy(
        chunk, normed, w.head, s.compute(), s.batch.targets, weights, dnormed));
    if (dx.defined()) {
      tensor::norm_backward(chunk, x, dnormed, w.final_norm, statistics, dx);
    }
  }
  return losses;
}

namespace {

/// In order of the tokens.
double sum_in_order(const at::Tensor& losses) {
  const double* loss = losses.const_data_ptr<double>();
  return std::accumulate(loss, loss + losses.numel(), 0.0);
}

/// A loss whose gradient of x is already there.
at::Tensor record_loss(double sum, const at::Tensor& x, const at::Tensor& dx) {
  return record(
      at::scalar_tensor(sum, at::TensorOptions().dtype(at::kDouble)),
      x,
      [dx](const at::Tensor& dy) {
        if (dy.item<double>() != 1) {
          throw Error(
              "[model] the loss sum must be differentiated as it is: the "
              "gradient of the head is made along with it. Scale weights "
              "instead.");
        }
        return dx;
      });
}

/// Zeros for the gradient of x; undefined if none is asked for.
at::Tensor gradient_like(const at::Tensor& x) {
  return at::GradMode::is_enabled() ? at::zeros_like(x.detach()) : at::Tensor();
}

} // namespace

at::Tensor Pass::loss_sum(const at::Tensor& x) const {
  at::Tensor dx = gradient_like(x);
  double sum = sum_in_order(run_head(x, state_->batch.weights, dx));
  return record_loss(sum, x, dx);
}

at::Tensor Pass::token_losses(const at::Tensor& x) const {
  at::Tensor asked = state_->batch.weights.ne(0).to(at::kDouble);
  return run_head(x, asked, {});
}

at::Tensor Pass::loss_sum(const at::Tensor& x, const TokenObjective& objective)
    const {
  at::Tensor losses = token_losses(x);
  at::Tensor derivative = at::zeros_like(losses);
  double sum = objective(losses, derivative);
  at::Tensor dx = gradient_like(x);
  if (dx.defined()) {
    run_head(x, derivative, dx);
  }
  return record_loss(sum, x, dx);
}

} // namespace accrue
