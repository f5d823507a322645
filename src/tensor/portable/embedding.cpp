// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>

#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {

void PortableBackend::embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  if (gradient.is_cpu()) {
    gradient.index_add_(0, ids, dy);
  } else { // in a fixed order, which index_add_ has on a CPU only
    gradient.index_put_({ids}, dy, /*accumulate=*/true);
  }
}

void PortableBackend::embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  at::Tensor uses = trained.unsqueeze(1).eq(ids.unsqueeze(0)); // [n, T]
  gradient.add_(at::matmul(uses.to(dy.scalar_type()), dy));
}

} // namespace accrue::tensor::portable
