// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>

#include "tensor/ops.h"

namespace accrue::tensor::portable {

/// Returns x in the sum type of its type.
inline at::Tensor widen(const at::Tensor& x) {
  return x.to(scalar_type(sum_type(type_of(x))));
}

/// Returns a · b, a product of matrices whose elements are rounded to `compute`
/// first; sums and result have the sum type.
inline at::Tensor product(
    const at::Tensor& a,
    const at::Tensor& b,
    Type compute) {
  auto operand = [&](const at::Tensor& x) {
    return x.to(scalar_type(compute)).to(scalar_type(sum_type(compute)));
  };
  return at::matmul(operand(a), operand(b));
}

/// Adds the gradient that `compute_gradient()` returns to the sum of a
/// parameter; where it is not trained, nothing is computed.
template <class ComputeGradient>
void add_if_defined(
    const at::Tensor& sum,
    const ComputeGradient& compute_gradient) {
  if (sum.defined()) {
    sum.add_(compute_gradient());
  }
}

} // namespace accrue::tensor::portable
