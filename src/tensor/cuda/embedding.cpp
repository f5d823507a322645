// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sort.h>

#include "tensor/cuda/backend.h"
#include "tensor/cuda/kernel_access.h"

namespace accrue::tensor::cuda {

void CudaBackend::embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  if (dy.scalar_type() != at::kFloat || gradient.scalar_type() != at::kFloat) {
    PortableBackend::embed_backward(ids, dy, gradient);
    return;
  }
  // Rows of one id stay in the order of the tokens.
  const auto [sorted, order] =
      at::sort(ids, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  launch(
      *launcher_,
      "embed_fold",
      by_column(dy.size(1), ids.numel()),
      from(sorted),
      from(order),
      static_cast<int>(ids.numel()),
      from(dy),
      Wide{dy.stride(0)},
      to(gradient),
      Wide{gradient.stride(0)},
      static_cast<int>(dy.size(1)));
}

void CudaBackend::embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient) const {
  const at::NoGradGuard no_grad;
  if (dy.scalar_type() != at::kFloat || gradient.scalar_type() != at::kFloat ||
      trained.numel() > kMostBlocksY) {
    PortableBackend::embed_rows_backward(ids, dy, trained, gradient);
    return;
  }
  launch(
      *launcher_,
      "embed_rows_fold",
      by_column(dy.size(1), trained.numel()),
      from(ids),
      static_cast<int>(ids.numel()),
      from(trained),
      from(dy),
      Wide{dy.stride(0)},
      to(gradient),
      Wide{gradient.stride(0)},
      static_cast<int>(dy.size(1)));
}

} // namespace accrue::tensor::cuda
