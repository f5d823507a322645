// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>

#include "tensor/portable/arithmetic.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

void check_positions(const at::Tensor& positions, int64_t limit) {
  at::Tensor bad =
      positions.masked_select(positions.lt(0).logical_or(positions.ge(limit)));
  if (bad.numel() > 0) {
    fail_position(bad[0].item<int64_t>(), limit);
  }
}

} // namespace

RotaryTable PortableBackend::rotary_table(
    int64_t positions,
    const at::Tensor& frequencies,
    at::ScalarType dtype) const {
  const at::NoGradGuard no_grad;
  at::Tensor angle = at::arange(positions, frequencies.options()).unsqueeze(1) *
      frequencies; // [positions, D/2]
  at::Tensor wide = angle.to(at::kDouble);
  // Rounded to fp32 in between, as the table of the CPU's backend is.
  return {
      wide.cos().to(at::kFloat).to(dtype), wide.sin().to(at::kFloat).to(dtype)};
}

void PortableBackend::rotate(
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& positions,
    const RotaryTable& table,
    bool inverse) const {
  const at::NoGradGuard no_grad;
  if (positions.is_cpu()) {
    check_positions(positions, table.cos.size(0));
  }
  at::Tensor pairs = columns(qkv, 0, heads.rotated_width())
                         .unflatten(
                             1,
                             {heads.queries + heads.keys,
                              2,
                              heads.dim / 2}); // [R, H + K, 2, D/2], a view
  at::Tensor low = pairs.select(2, 0);
  at::Tensor high = pairs.select(2, 1);
  at::Tensor cos = table.cos.index_select(0, positions).unsqueeze(1);
  at::Tensor sin = table.sin.index_select(0, positions).unsqueeze(1);
  if (inverse) {
    sin = sin.neg();
  }
  // A copy: `low` is written before `high` needs it.
  at::Tensor wide_low = low.to(
      scalar_type(sum_type(type_of(low))),
      /*non_blocking=*/false,
      /*copy=*/true);
  at::Tensor wide_high = widen(high);
  low.copy_(wide_low * cos - wide_high * sin);
  high.copy_(wide_high * cos + wide_low * sin);
}

} // namespace accrue::tensor::portable
