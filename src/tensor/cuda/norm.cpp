// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>

#include "tensor/cuda/backend.h"
#include "tensor/cuda/kernel_access.h"

namespace accrue::tensor::cuda {

at::Tensor CudaBackend::norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics,
    Type result) const {
  const at::NoGradGuard no_grad;
  if (x.scalar_type() != at::kFloat || !has_rows(x)) {
    return PortableBackend::norm(chunk, x, layer, statistics, result);
  }
  const at::Tensor rows = chunk.of(x);
  const int64_t width = x.size(1);
  at::Tensor y = empty(result, rows.sizes(), x);
  launch(
      *launcher_,
      kernel_for("norm", result).c_str(),
      by_row(rows.size(0), width),
      from(rows),
      Wide{rows.stride(0)},
      from(layer.weight),
      from(layer.bias),
      to(y),
      Wide{y.stride(0)},
      to(chunk.of(statistics.mean)),
      to(chunk.of(statistics.rstd)),
      static_cast<int>(width),
      static_cast<float>(layer.epsilon));
  return y;
}

void CudaBackend::norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& layer,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients) const {
  const at::NoGradGuard no_grad;
  if (x.scalar_type() != at::kFloat || !has_rows(x) || !is_plain(dy) ||
      dx.scalar_type() != at::kFloat || !has_rows(dx)) {
    PortableBackend::norm_backward(
        chunk, x, dy, layer, statistics, dx, gradients);
    return;
  }
  const at::Tensor rows = chunk.of(x);
  const at::Tensor drows = chunk.of(dx);
  if (gradients.weight.defined() || gradients.bias.defined()) {
    fold_norm(chunk, rows, dy, layer, statistics, gradients);
  }
  launch(
      *launcher_,
      kernel_for("norm_input_gradient", type_of(dy)).c_str(),
      by_row(rows.size(0), x.size(1)),
      from(rows),
      Wide{rows.stride(0)},
      from(dy),
      Wide{dy.stride(0)},
      from(layer.weight),
      from(chunk.of(statistics.mean)),
      from(chunk.of(statistics.rstd)),
      to(drows),
      Wide{drows.stride(0)},
      static_cast<int>(x.size(1)));
}

/// Adds the gradients of weight and bias, piece by piece. `rows` are those of
/// the chunk.
void CudaBackend::fold_norm(
    const Chunk& chunk,
    const at::Tensor& rows,
    const at::Tensor& dy,
    const Norm& layer,
    const NormStatistics& statistics,
    const NormGradients& gradients) const {
  const int64_t width = rows.size(1);
  const auto pieces = static_cast<int64_t>(chunk.pieces.size());
  const at::Tensor ends = arrays_.get(chunk.pieces, at::kInt, rows.device());
  const at::Tensor weights = empty(Type::kF32, {pieces, width}, rows);
  at::Tensor biases;
  if (is_layer_norm(layer)) {
    biases = empty(Type::kF32, {pieces, width}, rows);
  }
  launch(
      *launcher_,
      kernel_for("norm_partials", type_of(dy)).c_str(),
      by_column(width, pieces),
      from(rows),
      Wide{rows.stride(0)},
      from(dy),
      Wide{dy.stride(0)},
      from(chunk.of(statistics.mean)),
      from(chunk.of(statistics.rstd)),
      from(ends),
      /*piece_scale=*/1,
      to(weights),
      to(biases),
      static_cast<int>(width));
  for (const auto& [partials, sum] :
       {std::pair(weights, gradients.weight),
        std::pair(biases, gradients.bias)}) {
    if (partials.defined() && sum.defined()) {
      launch(
          *launcher_,
          "fold_partials",
          by_column(width, 1),
          from(partials),
          static_cast<int>(pieces),
          to(sum),
          static_cast<int>(width));
    }
  }
}

} // namespace accrue::tensor::cuda
