// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>

#include "core/functions.h"
#include "tensor/cpu/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"

namespace accrue::tensor {

RotaryTable CpuBackend::rotary_table(
    int64_t positions,
    const at::Tensor& frequencies,
    at::ScalarType dtype) const {
  at::Tensor angle = at::arange(positions, frequencies.options()).unsqueeze(1) *
      frequencies; // [positions, D/2]
  at::Tensor cos = at::empty_like(angle);
  at::Tensor sin = at::empty_like(angle);
  const float* from = angle.const_data_ptr<float>();
  auto* to_cos = cos.mutable_data_ptr<float>();
  auto* to_sin = sin.mutable_data_ptr<float>();
  constexpr int64_t kGrain = 1 << 12;
  parallel_for(angle.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto [c, s] = cosine_and_sine(from[i]);
      to_cos[i] = static_cast<float>(c);
      to_sin[i] = static_cast<float>(s);
    }
  });
  return {cos.to(dtype), sin.to(dtype)};
}

void CpuBackend::rotate(
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& positions,
    const RotaryTable& table,
    bool inverse) const {
  const int64_t* position = positions.const_data_ptr<int64_t>();
  int64_t limit = table.cos.size(0);
  for (int64_t t = 0; t < qkv.size(0); ++t) {
    if (position[t] < 0 || position[t] >= limit) {
      fail_position(position[t], limit);
    }
  }
  parallel_for(qkv.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    kernels().rotate(
        {.type = type_of(qkv),
         .rows = end - begin,
         .heads = heads.queries + heads.keys,
         .dim = heads.dim,
         .stride = qkv.stride(0),
         .positions = position + begin,
         .cos = table.cos.const_data_ptr(),
         .sin = table.sin.const_data_ptr(),
         .inverse = inverse,
         .x = mutable_row_of(qkv, begin)});
  });
}

} // namespace accrue::tensor
