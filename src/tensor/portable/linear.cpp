// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "tensor/portable/arithmetic.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

/// Returns W as [in, out].
at::Tensor in_out(const Linear& layer) {
  return layer.layout == WeightLayout::kInOut ? layer.weight : layer.weight.t();
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
  add_if_defined(gradients.weight, [&] {
    return layer.layout == WeightLayout::kInOut ? product(x.t(), dy, compute)
                                                : product(dy.t(), x, compute);
  });
  if (const Adapter* adapter = layer.adapter.get()) {
    add_if_defined(gradients.adapter_b, [&] {
      at::Tensor u = product(x, adapter->a.t(), compute).mul_(adapter->scale);
      return product(dy.t(), u, compute);
    });
    add_if_defined(gradients.adapter_a, [&] {
      at::Tensor du = product(dy, adapter->b, compute).mul_(adapter->scale);
      return product(du.t(), x, compute);
    });
  }
  if (layer.rows != nullptr) {
    add_if_defined(gradients.rows, [&] {
      at::Tensor dy_rows = dy.index_select(1, layer.rows->ids);
      return product(dy_rows.t(), x, compute);
    });
  }
  add_if_defined(gradients.bias, [&] { return dy.sum(0); });
}

} // namespace accrue::tensor::portable
