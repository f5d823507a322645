// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

/// Returns the chunk's rows of x less their mean, if the norm has one.
at::Tensor centred(
    const Chunk& chunk,
    const at::Tensor& x,
    const NormStatistics& statistics) {
  at::Tensor rows = chunk.of(x);
  return statistics.mean.defined()
      ? rows - chunk.of(statistics.mean).unsqueeze(1)
      : rows;
}

} // namespace

at::Tensor PortableBackend::norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics) const {
  const at::NoGradGuard no_grad;
  if (statistics.mean.defined()) {
    chunk.of(statistics.mean).copy_(chunk.of(x).mean(1));
  }
  at::Tensor d = centred(chunk, x, statistics);
  at::Tensor rstd = (d.square().mean(1) + layer.epsilon).rsqrt();
  chunk.of(statistics.rstd).copy_(rstd);
  at::Tensor y = d * rstd.unsqueeze(1) * layer.weight;
  return layer.bias.defined() ? y.add_(layer.bias) : y;
}

void PortableBackend::norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& layer,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients) const {
  const at::NoGradGuard no_grad;
  at::Tensor rstd = chunk.of(statistics.rstd).unsqueeze(1);
  at::Tensor normal = centred(chunk, x, statistics) * rstd;
  at::Tensor g = dy * layer.weight;
  at::Tensor mean_gx = (g * normal).mean(1, /*keepdim=*/true);
  if (layer.bias.defined()) {
    g.sub_(g.mean(1, /*keepdim=*/true));
  }
  chunk.of(dx).add_((g - normal * mean_gx) * rstd);
  if (gradients.weight.defined()) {
    gradients.weight.add_((dy * normal).sum(0));
  }
  if (gradients.bias.defined()) {
    gradients.bias.add_(dy.sum(0));
  }
}

} // namespace accrue::tensor::portable
