// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "models/pass.h"
#include "models/pass_state.h"

namespace accrue {
namespace {

constexpr int64_t kLogitRows = 1024; // at once

} // namespace

at::Tensor Pass::logits(const at::Tensor& x, int64_t first) const {
  const PassState& s = *state_;
  const ModelWeights& w = *s.weights;
  at::Tensor rows = x.narrow(0, first, x.size(0) - first);
  auto statistics = tensor::make_statistics(w.final_norm, rows);
  at::Tensor logits = tensor::empty(
      tensor::type_of(x), {rows.size(0), w.head.weight.size(0)}, x);
  for (int64_t begin = 0; begin < rows.size(0); begin += kLogitRows) {
    Chunk chunk;
    chunk.begin = begin;
    chunk.end = std::min(begin + kLogitRows, rows.size(0));
    at::Tensor normed = s.norm(chunk, rows, w.final_norm, statistics);
    tensor::linear(normed, w.head, s.compute(), chunk.of(logits));
  }
  return logits;
}

at::Tensor Pass::run_head(
    const at::Tensor& x,
    const at::Tensor& weights,
    const at::Tensor& dx) const {
  const PassState& s = *state_;
  const ModelWeights& w = *s.weights;
  auto statistics = tensor::make_statistics(w.final_norm, x);
  at::Tensor losses = at::zeros_like(weights);
  tensor::LinearGradients head;
  tensor::NormGradients norm;
  if (dx.defined()) {
    // Even if all weights are 0: the head then has a gradient of zeros.
    head = s.gradients(w.head);
    norm = s.gradients(w.final_norm);
  }
  for (const Chunk& chunk : tensor::head_chunks(s.stream(), s.cut)) {
    if (!s.has_targets(chunk, weights)) {
      continue; // a prompt, say: its logits are not needed
    }
    at::Tensor normed = s.norm(chunk, x, w.final_norm, statistics);
    at::Tensor dnormed = dx.defined() ? at::empty_like(normed) : at::Tensor();
    chunk.of(losses).copy_(tensor::cross_entropy(
        chunk,
        normed,
        w.head,
        s.compute(),
        s.batch.targets,
        weights,
        dnormed,
        head));
    if (dx.defined()) {
      tensor::norm_backward(
          chunk, x, dnormed, w.final_norm, statistics, dx, norm);
    }
  }
  return losses;
}

at::Tensor Pass::token_losses(const at::Tensor& x) const {
  at::Tensor mask = state_->batch.weights.ne(0).to(at::kDouble);
  return run_head(x, mask, {});
}

at::Tensor Pass::loss(
    const at::Tensor& x,
    const TokenObjective& objective,
    const at::Tensor& dx) const {
  if (!objective) {
    return tensor::sum_in_order(run_head(x, state_->batch.weights, dx));
  }
  const at::Tensor losses = token_losses(x).cpu(); // objectives read values
  const at::Tensor derivative = at::zeros_like(losses);
  const double sum = objective(losses, derivative);
  if (dx.defined()) {
    run_head(x, derivative.to(x.device()), dx);
  }
  return at::scalar_tensor(sum, losses.options());
}

} // namespace accrue
