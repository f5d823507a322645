// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/where.h>

#include <tuple>

#include "core/functions.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

/// Throws DataError for a target outside the vocabulary that counts.
void check_targets(
    const at::Tensor& targets,
    const at::Tensor& counts,
    int64_t vocab) {
  at::Tensor outside = targets.lt(0).logical_or(targets.ge(vocab));
  at::Tensor wrong = targets.masked_select(outside.logical_and(counts));
  if (wrong.numel() > 0) {
    fail_target(wrong[0].item<int64_t>(), vocab);
  }
}

} // namespace

at::Tensor PortableBackend::cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients) const {
  const at::NoGradGuard no_grad;
  const int64_t vocab = head.weight.size(0);
  at::Tensor weight = chunk.of(weights);
  at::Tensor counts = weight.ne(0);
  if (targets.is_cpu()) {
    check_targets(chunk.of(targets), counts, vocab);
  }
  // Any target will do where the weight is 0.
  at::Tensor target =
      at::where(counts, chunk.of(targets), 0).unsqueeze(1); // [R, 1]
  at::Tensor logits = empty(type_of(x), {chunk.size(), vocab}, x);
  linear(x, head, compute, logits, /*add=*/false);
  logits.sub_(logits.amax(1, /*keepdim=*/true));
  at::Tensor target_logit = logits.gather(1, target).squeeze(1);
  at::Tensor p = logits.exp_(); // in place
  at::Tensor total = p.sum(1); // [R]
  at::Tensor losses = (total.log() - target_logit).to(at::kDouble) * weight;
  if (type_of(x) != Type::kF64) {
    losses = (losses / kLossUnit).round_() * kLossUnit; // as summable()
  }
  losses.masked_fill_(counts.logical_not(), 0);
  if (dx.defined()) {
    at::Tensor w = weight.to(x.scalar_type()).unsqueeze(1); // [R, 1]
    p.mul_(w / total.unsqueeze(1)).scatter_add_(1, target, w.neg());
    p.masked_fill_(counts.logical_not().unsqueeze(1), 0);
    linear_input_gradient(p, head, compute, dx, /*add=*/false);
    linear_weight_gradient(chunk, x, p, head, compute, gradients);
  }
  return losses;
}

at::Tensor PortableBackend::sum_in_order(const at::Tensor& x) const {
  const at::NoGradGuard no_grad;
  return x.sum();
}

} // namespace accrue::tensor::portable
