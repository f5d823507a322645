// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>

#include "tensor/cuda/backend.h"
#include "tensor/cuda/kernel_access.h"
#include "tensor/cuda/pitched.h"

namespace accrue::tensor::cuda {

at::Tensor CudaBackend::cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients) const {
  const at::NoGradGuard no_grad;
  if (compute == Type::kF64) {
    return PortableBackend::cross_entropy(
        chunk, x, head, compute, targets, weights, dx, gradients);
  }
  const int64_t vocab = head.weight.size(0);
  const at::Tensor logits = pitched(compute, chunk.size(), vocab, x);
  linear(x, head, compute, logits, /*add=*/false);
  at::Tensor losses = empty(Type::kF64, {chunk.size()}, x);
  launch(
      *launcher_,
      kernel_for("cross_entropy", compute).c_str(),
      by_row(chunk.size(), vocab, /*most_threads=*/512),
      to(logits),
      Wide{logits.stride(0)},
      static_cast<int>(vocab),
      from(chunk.of(targets)),
      from(chunk.of(weights)),
      to(losses),
      static_cast<int>(dx.defined()));
  if (dx.defined()) { // the logits are their gradient by now
    linear_input_gradient(logits, head, compute, dx, /*add=*/false);
    linear_weight_gradient(chunk, x, logits, head, compute, gradients);
  }
  return losses;
}

} // namespace accrue::tensor::cuda
