// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

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
  // Rows of tokens that are not trained go to one more row.
  at::Tensor uses = trained.unsqueeze(0).eq(ids.unsqueeze(1)); // [T, n]
  at::Tensor rows = at::where(
      uses.any(1), uses.to(at::kLong).argmax(1), trained.numel()); // [T]
  at::Tensor sums = at::cat({gradient, at::zeros_like(dy.narrow(0, 0, 1))});
  embed_backward(rows, dy, sums);
  gradient.copy_(sums.narrow(0, 0, trained.numel()));
}

} // namespace accrue::tensor::portable
