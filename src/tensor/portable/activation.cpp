// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/erfc.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>

#include <cmath>

#include "accrue/core/error.h"
#include "tensor/portable/arithmetic.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

/// Value and derivative of an activation, in the sum type.
struct Evaluated {
  at::Tensor value;
  at::Tensor slope;
};

Evaluated evaluate_gelu(const at::Tensor& x) {
  at::Tensor below = at::erfc(x * -M_SQRT1_2) * 0.5;
  at::Tensor density =
      at::exp(x.square() * -0.5) * (M_2_SQRTPI * M_SQRT1_2 / 2);
  return {x * below, below + x * density};
}

Evaluated evaluate_gelu_tanh(const at::Tensor& x) {
  constexpr double kScale = M_2_SQRTPI * M_SQRT1_2;
  // Limited: beyond |x| = 100, 1 - s is 0, and an infinite du would make the
  // slope NaN.
  at::Tensor square = x.square().clamp_max(1e4);
  at::Tensor u = x * (square * 0.044715 + 1) * kScale;
  at::Tensor s = at::sigmoid(u * 2);
  at::Tensor du = (square * (3 * 0.044715) + 1) * kScale;
  at::Tensor y = x * s;
  return {y, s + y * (1 - s) * du * 2};
}

Evaluated evaluate_silu(const at::Tensor& x) {
  at::Tensor s = at::sigmoid(x);
  at::Tensor y = x * s;
  return {y, s + y * (1 - s)};
}

/// Formulas as in tensor/cpu/isa/activation.cpp.
Evaluated evaluate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return evaluate_gelu(x);
    case Activation::kGeluTanh:
      return evaluate_gelu_tanh(x);
    case Activation::kSilu:
      return evaluate_silu(x);
  }
  throw Error("[tensor] this activation has no formula");
}

/// Returns the argument of f: the gate if there is one, in the sum type.
at::Tensor argument(const at::Tensor& x, bool gated) {
  return widen(gated ? columns(x, 0, x.size(1) / 2) : x);
}

} // namespace

at::Tensor PortableBackend::activate(
    const at::Tensor& x,
    Activation activation,
    bool gated) const {
  const at::NoGradGuard no_grad;
  at::Tensor y = evaluate(argument(x, gated), activation).value;
  if (gated) {
    y = y * widen(value_columns(x, gated));
  }
  return y.to(x.scalar_type());
}

at::Tensor PortableBackend::activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated) const {
  const at::NoGradGuard no_grad;
  auto [value, slope] = evaluate(argument(x, gated), activation);
  at::Tensor dvalues = value_columns(dx, gated);
  at::Tensor y = columns(x, 0, dvalues.size(1));
  if (gated) {
    at::Tensor up = widen(value_columns(x, gated));
    columns(dx, 0, y.size(1)).copy_(dvalues * up * slope);
    dvalues.mul_(value);
    y.copy_(value * up);
  } else {
    dvalues.mul_(slope);
    y.copy_(value);
  }
  return y;
}

} // namespace accrue::tensor::portable
