// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

#include "models/pass_state.h"

namespace accrue {

/// MLP of a block: y = x + dropout(mlp(norm(x))). Keeps its input and the
/// values before the activation.
class MlpPart {
 public:
  MlpPart(
      std::shared_ptr<const PassState> state,
      size_t index,
      const at::Tensor& x);

  /// Returns y [T, C]. `with_output` false: leaves out the last matrix product,
  /// which backward does not need.
  at::Tensor forward(bool with_output);

  /// Turns dy [T, C] into dx, in the same memory.
  at::Tensor backward(const at::Tensor& dy) const;

 private:
  bool gated() const {
    return block_.mlp_in.size() > 1;
  }
  void backward(const Chunk& chunk, const at::Tensor& dy) const;

  std::shared_ptr<const PassState> state_;
  const Block& block_;
  uint64_t site_; // of dropout
  at::Tensor x_; // [T, C]
  tensor::NormStatistics statistics_;
  at::Tensor inner_; // [T, M], gated [T, 2M], before the activation
};

} // namespace accrue
