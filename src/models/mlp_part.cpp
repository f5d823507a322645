// SPDX-License-Identifier: Apache-2.0
#include "models/mlp_part.h"

#include <ATen/ops/empty_like.h>

#include <utility>

namespace accrue {

MlpPart::MlpPart(
    std::shared_ptr<const PassState> state,
    size_t index,
    const at::Tensor& x)
    : state_(std::move(state)),
      block_(state_->weights->blocks[index]),
      site_(2 + 2 * index),
      x_(x),
      statistics_(tensor::make_statistics(block_.mlp_norm, x)) {}

at::Tensor MlpPart::forward(bool with_output) {
  const PassState& s = *state_;
  const ModelConfig& config = s.weights->config;
  inner_ = tensor::empty(
      s.compute(), {x_.size(0), config.mlp_width * (gated() ? 2 : 1)}, x_);
  at::Tensor y = with_output ? at::empty_like(x_) : at::Tensor();
  for (const Chunk& chunk : s.chunks) {
    at::Tensor normed = s.norm(chunk, x_, block_.mlp_norm, statistics_);
    s.linears(block_.mlp_in, normed, chunk.of(inner_));
    if (with_output) {
      at::Tensor active =
          tensor::activate(chunk.of(inner_), config.activation, gated());
      s.add_branch(chunk, site_, x_, active, block_.mlp_out, y);
    }
  }
  return y;
}

at::Tensor MlpPart::backward(const at::Tensor& dy) const {
  for (const Chunk& chunk : state_->chunks) {
    backward(chunk, dy);
  }
  return dy;
}

/// Replaces the chunk's rows of dy by those of dx.
void MlpPart::backward(const Chunk& chunk, const at::Tensor& dy) const {
  const PassState& s = *state_;
  at::Tensor dbranch = s.branch_gradient(chunk, site_, dy);
  at::Tensor dinner =
      tensor::empty(s.operand(), {chunk.size(), inner_.size(1)}, dy);
  tensor::linear_input_gradient(
      dbranch,
      block_.mlp_out,
      s.compute(),
      tensor::value_columns(dinner, gated()));
  at::Tensor active = tensor::activate_backward(
      chunk.of(inner_), dinner, s.weights->config.activation, gated());
  tensor::linear_weight_gradient(
      chunk,
      active,
      dbranch,
      block_.mlp_out,
      s.compute(),
      s.gradients(block_.mlp_out));
  at::Tensor normed = s.norm(chunk, x_, block_.mlp_norm, statistics_);
  at::Tensor dnormed = s.linears_backward(chunk, block_.mlp_in, normed, dinner);
  tensor::norm_backward(
      chunk,
      x_,
      dnormed,
      block_.mlp_norm,
      statistics_,
      /*dx=*/dy,
      s.gradients(block_.mlp_norm));
}

} // namespace accrue
