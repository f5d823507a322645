// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <functional>

namespace accrue {

class Accumulators;

/// Divisor of a loss: the number of target tokens, sequences or pairs that it
/// is averaged over. Any number converts to it.
struct LossWeight {
  double value = 0;

  LossWeight() = default;
  template <class T>
  requires std::convertible_to<T, double> LossWeight(T number)
      : value(static_cast<double>(number)) {}
};

/// Loss of one micro-batch for autograd: the weighted *sum* of its losses and
/// the sum of the weights. There is no place for a mean, and a bare tensor does
/// not convert to it.
struct LossSum {
  /// Σ w·loss, one element, with a graph to the parameters.
  at::Tensor sum;
  /// Σ w ≥ 0.
  LossWeight weight;
};

/// Loss of one micro-batch whose maker differentiates it without autograd, such
/// as Transformer::loss(). Nothing is computed before a Window adds it.
struct ModelLoss {
  /// Runs forward and backward, adds the gradients to the sums it is given and
  /// returns Σ w·loss, one element.
  std::function<at::Tensor(Accumulators&)> accumulate;
  /// Σ w ≥ 0.
  LossWeight weight;
};

} // namespace accrue
