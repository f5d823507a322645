// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

#include "models/pass_state.h"

namespace accrue {

/// Attention of a block: y = x + dropout(attention(norm(x))). Keeps the values
/// that backward would need another matrix product for.
class AttentionPart {
 public:
  AttentionPart(
      std::shared_ptr<const PassState> state,
      size_t index,
      const at::Tensor& x);

  at::Tensor forward(); // [T, C]

  /// Turns dy [T, C] into dx, in the same memory.
  at::Tensor backward(const at::Tensor& dy) const;

 private:
  void project();
  void attend();
  void backward(const Chunk& chunk, const at::Tensor& dy) const;
  at::Tensor qkv_gradient(const Chunk& chunk, const at::Tensor& dbranch) const;

  std::shared_ptr<const PassState> state_;
  size_t index_; // of the block
  const Block& block_;
  tensor::Heads heads_;
  uint64_t site_; // of dropout
  at::Tensor x_; // [T, C]
  tensor::NormStatistics statistics_;
  at::Tensor qkv_; // [T, (H + 2K) * D], normed and rotated
  at::Tensor qk_before_norm_; // [T, (H + K) * D], undefined without head norms
  at::Tensor attended_; // [T, H * D]
  at::Tensor logsumexp_; // [H, T]
};

} // namespace accrue
