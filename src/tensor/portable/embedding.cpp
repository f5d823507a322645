// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {

void PortableBackend::embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  gradient.index_add_(0, ids, dy);
}

void PortableBackend::embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  // Pairs (token, row of the gradient) of one id.
  at::Tensor pairs = ids.unsqueeze(1).eq(trained.unsqueeze(0)).nonzero();
  gradient.index_add_(
      0, pairs.select(1, 1), dy.index_select(0, pairs.select(1, 0)));
}

} // namespace accrue::tensor::portable
