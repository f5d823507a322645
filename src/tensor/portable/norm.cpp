// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "tensor/portable/arithmetic.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

/// Returns the chunk's rows of x, for LayerNorm less their mean.
at::Tensor centred(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics) {
  at::Tensor rows = chunk.of(x);
  return is_layer_norm(layer) ? rows - chunk.of(statistics.mean).unsqueeze(1)
                              : rows;
}

} // namespace

at::Tensor PortableBackend::norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics,
    Type result) const {
  const at::NoGradGuard no_grad;
  if (is_layer_norm(layer)) {
    chunk.of(statistics.mean).copy_(chunk.of(x).mean(1));
  }
  at::Tensor centred_x = centred(chunk, x, layer, statistics);
  at::Tensor rstd = (centred_x.square().mean(1) + layer.epsilon).rsqrt();
  chunk.of(statistics.rstd).copy_(rstd);
  at::Tensor y = centred_x * rstd.unsqueeze(1) * layer.weight;
  if (is_layer_norm(layer)) {
    y.add_(layer.bias);
  }
  return y.to(scalar_type(result));
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
  at::Tensor normed = centred(chunk, x, layer, statistics) * rstd;
  at::Tensor dnormed = dy * layer.weight;
  at::Tensor mean_product = (dnormed * normed).mean(1, /*keepdim=*/true);
  if (is_layer_norm(layer)) {
    dnormed.sub_(dnormed.mean(1, /*keepdim=*/true));
  }
  chunk.of(dx).add_((dnormed - normed * mean_product) * rstd);
  add_if_defined(gradients.weight, [&] { return (dy * normed).sum(0); });
  add_if_defined(gradients.bias, [&] { return dy.sum(0); });
}

} // namespace accrue::tensor::portable
