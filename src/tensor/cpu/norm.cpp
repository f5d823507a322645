// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "tensor/cpu/backend.h"
#include "tensor/cpu/fold.h"
#include "tensor/cpu/kernels.h"

namespace accrue::tensor {
namespace {

NormRows norm_rows(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics,
    int64_t row,
    int64_t rows) {
  NormRows n;
  n.type = type_of(x);
  n.rows = rows;
  n.width = x.size(1);
  n.x = row_of(x, chunk.begin + row);
  n.weight = layer.weight.const_data_ptr();
  n.epsilon = layer.epsilon;
  n.rstd = mutable_row_of(statistics.rstd, chunk.begin + row);
  if (is_layer_norm(layer)) {
    n.bias = layer.bias.const_data_ptr();
    n.mean = mutable_row_of(statistics.mean, chunk.begin + row);
  }
  return n;
}

} // namespace

at::Tensor CpuBackend::norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics,
    Type result) const {
  at::Tensor y = empty(result, {chunk.size(), x.size(1)});
  parallel_for(chunk.size(), kGrainRows, [&](int64_t begin, int64_t end) {
    kernels().norm(
        norm_rows(chunk, x, layer, statistics, begin, end - begin),
        mutable_row_of(y, begin));
  });
  return y;
}

void CpuBackend::norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& layer,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients) const {
  at::Tensor unused = empty(type_of(x), {x.size(1)});
  std::vector<at::Tensor> sums = {gradients.weight, gradients.bias};
  for (at::Tensor& sum : sums) { // the kernel makes both
    sum = sum.defined() ? sum : unused;
  }
  fold_pieces(chunk, sums, [&](int64_t begin, int64_t rows, void* piece) {
    kernels().norm_backward(
        norm_rows(chunk, x, layer, statistics, begin, rows),
        row_of(dy, begin),
        mutable_row_of(dx, chunk.begin + begin),
        piece);
  });
}

} // namespace accrue::tensor
