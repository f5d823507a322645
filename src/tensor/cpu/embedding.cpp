// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <span>

#include "tensor/cpu/backend.h"

namespace accrue::tensor {

void CpuBackend::embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient) const {
  gradient.index_add_(0, ids, dy); // adds in the order of ids
}

void CpuBackend::embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient) const {
  std::span<const int64_t> rows(
      trained.const_data_ptr<int64_t>(), static_cast<size_t>(trained.numel()));
  const int64_t* id = ids.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < ids.numel(); ++t) { // adds in the order of ids
    auto row = std::ranges::find(rows, id[t]); // there are few
    if (row != rows.end()) {
      gradient[row - rows.begin()].add_(dy[t]);
    }
  }
}

} // namespace accrue::tensor
