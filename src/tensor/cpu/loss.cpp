// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/scalar_tensor.h>

#include <numeric>

#include "tensor/cpu/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"

namespace accrue::tensor {

at::Tensor CpuBackend::cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients) const {
  int64_t vocab = head.weight.size(0);
  const int64_t* target = targets.const_data_ptr<int64_t>() + chunk.begin;
  const double* weight = weights.const_data_ptr<double>() + chunk.begin;
  for (int64_t t = 0; t < chunk.size(); ++t) {
    if (weight[t] != 0 && (target[t] < 0 || target[t] >= vocab)) {
      fail_target(target[t], vocab);
    }
  }
  at::Tensor logits = empty(type_of(x), {chunk.size(), vocab});
  at::Tensor dlogits = compute == Type::kBf16
      ? columns(logits.view(at::kBFloat16), 0, vocab)
      : logits; // in place, and rounded once for both products
  linear(x, head, compute, logits, /*add=*/false);
  at::Tensor losses = empty(Type::kF64, {chunk.size()});
  double* loss = losses.mutable_data_ptr<double>();
  parallel_for(chunk.size(), 1, [&](int64_t begin, int64_t end) {
    LossRows rows;
    rows.type = type_of(x);
    rows.rows = end - begin;
    rows.vocab = vocab;
    rows.logits = mutable_row_of(logits, begin);
    rows.gradient_type = type_of(dlogits);
    rows.targets = target + begin;
    rows.weights = weight + begin;
    rows.losses = loss + begin;
    rows.gradient = dx.defined();
    kernels().loss(rows);
  });
  if (dx.defined()) {
    linear_input_gradient(dlogits, head, compute, dx, /*add=*/false);
    linear_weight_gradient(chunk, x, dlogits, head, compute, gradients);
  }
  return losses;
}

at::Tensor CpuBackend::sum_in_order(const at::Tensor& x) const {
  const double* values = x.const_data_ptr<double>();
  return at::scalar_tensor(
      std::accumulate(values, values + x.numel(), 0.0), x.options());
}

} // namespace accrue::tensor
