// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "tensor/portable/backend.h"
#include "tensor/portable/product.h"

namespace accrue::tensor::portable {
namespace {

/// Returns W as [in, out].
at::Tensor in_out(const Linear& layer) {
  return layer.layout == WeightLayout::kInOut ? layer.weight : layer.weight.t();
}

void add_if_defined(const at::Tensor& gradient, const at::Tensor& sum) {
  if (gradient.defined()) {
    gradient.add_(sum);
  }
}

} // namespace

void PortableBackend::linear(
    const at::Tensor& x,
    const Linear& layer,
    Type compute,
    const at::Tensor& y,
    bool add) const {
  const at::NoGradGuard no_grad;
  at::Tensor sum = product(x, in_out(layer), compute);
  if (layer.bias.defined() && !add) {
    sum.add_(layer.bias);
  }
  if (const Adapter* adapter = layer.adapter.get()) {
    at::Tensor u = product(x, adapter->a.t(), compute).mul_(adapter->scale);
    sum.add_(product(u, adapter->b.t(), compute));
  }
  add ? y.add_(sum) : y.copy_(sum);
}

void PortableBackend::linear_input_gradient(
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const at::Tensor& dx,
    bool add) const {
  const at::NoGradGuard no_grad;
  at::Tensor sum = product(dy, in_out(layer).t(), compute);
  if (const Adapter* adapter = layer.adapter.get()) {
    at::Tensor du = product(dy, adapter->b, compute).mul_(adapter->scale);
    sum.add_(product(du, adapter->a, compute));
  }
  add ? dx.add_(sum) : dx.copy_(sum);
}

void PortableBackend::linear_weight_gradient(
    const Chunk& /*chunk*/,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const LinearGradients& gradients) const {
  const at::NoGradGuard no_grad;
  if (gradients.weight.defined()) {
    const bool in_first = layer.layout == WeightLayout::kInOut;
    gradients.weight.add_(
        in_first ? product(x.t(), dy, compute) : product(dy.t(), x, compute));
  }
  if (const Adapter* adapter = layer.adapter.get()) {
    at::Tensor u = product(x, adapter->a.t(), compute).mul_(adapter->scale);
    add_if_defined(gradients.adapter_b, product(dy.t(), u, compute));
    at::Tensor du = product(dy, adapter->b, compute).mul_(adapter->scale);
    add_if_defined(gradients.adapter_a, product(du.t(), x, compute));
  }
  if (layer.rows != nullptr && gradients.rows.defined()) {
    at::Tensor dy_rows = dy.index_select(1, layer.rows->ids);
    gradients.rows.add_(product(dy_rows.t(), x, compute));
  }
  if (gradients.bias.defined()) {
    gradients.bias.add_(dy.sum(0));
  }
}

} // namespace accrue::tensor::portable
