// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <cmath>

#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {

std::vector<double> PortableBackend::l2_norms(
    const std::vector<at::Tensor>& tensors) const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const at::Tensor& tensor : tensors) {
    norms.push_back(at::linalg_vector_norm(
        tensor, 2, /*dim=*/{}, /*keepdim=*/false, at::kDouble));
  }
  const at::Tensor all = at::stack(norms).cpu(); // the one copy from the device
  const auto values = all.accessor<double, 1>();
  std::vector<double> list;
  for (int64_t i = 0; i < all.size(0); ++i) {
    list.push_back(values[i]);
  }
  return list;
}

void PortableBackend::adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average) const {
  const at::NoGradGuard no_grad;
  at::Tensor g = at::empty_like(parameter).copy_(gradient);
  average.add_((g - average).mul_(1 - step.beta1));
  square_average.mul_(step.beta2).add_(g.square().mul_(1 - step.beta2));
  at::Tensor denominator =
      square_average.sqrt().div_(std::sqrt(step.correction2)).add_(step.eps);
  parameter.mul_(1 - step.lr * step.weight_decay)
      .sub_((average / denominator).mul_(step.lr / step.correction1));
}

} // namespace accrue::tensor::portable
