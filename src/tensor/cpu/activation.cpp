// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"

namespace accrue::tensor {

at::Tensor CpuBackend::activate(
    const at::Tensor& x,
    Activation activation,
    bool gated) const {
  at::Tensor inner = value_columns(x, gated);
  at::Tensor y = empty(type_of(x), inner.sizes());
  parallel_for(x.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels().activate(
          {.activation = activation,
           .type = type_of(x),
           .count = y.size(1),
           .gate = gated ? row_of(x, i) : nullptr,
           .x = row_of(inner, i),
           .y = mutable_row_of(y, i)});
    }
  });
  return y;
}

at::Tensor CpuBackend::activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated) const {
  at::Tensor inner = value_columns(x, gated);
  at::Tensor dinner = value_columns(dx, gated);
  at::Tensor y = columns(x, 0, inner.size(1));
  parallel_for(x.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels().activate_backward(
          {.activation = activation,
           .type = type_of(x),
           .count = y.size(1),
           .gate = gated ? row_of(x, i) : nullptr,
           .x = row_of(inner, i),
           .y = mutable_row_of(y, i)},
          {.dy = row_of(dinner, i),
           .dgate = gated ? mutable_row_of(dx, i) : nullptr,
           .dx = mutable_row_of(dinner, i)});
    }
  });
  return y;
}

} // namespace accrue::tensor
