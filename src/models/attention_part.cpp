// SPDX-License-Identifier: Apache-2.0
#include "models/attention_part.h"

#include <ATen/ops/empty_like.h>

#include <utility>

#include "models/kv_cache.h"
#include "models/qk_norm.h"

namespace accrue {

AttentionPart::AttentionPart(
    std::shared_ptr<const PassState> state,
    size_t index,
    const at::Tensor& x)
    : state_(std::move(state)),
      index_(index),
      block_(state_->weights->blocks[index]),
      heads_(state_->weights->heads()),
      site_(1 + 2 * index),
      x_(x),
      statistics_(tensor::make_statistics(block_.attention_norm, x)) {}

at::Tensor AttentionPart::forward() {
  project();
  attend();
  at::Tensor y = at::empty_like(x_);
  for (const Chunk& chunk : state_->chunks) {
    state_->add_branch(
        chunk, site_, x_, chunk.of(attended_), block_.attention_out, y);
  }
  return y;
}

/// Computes queries, keys and values of every token.
void AttentionPart::project() {
  const PassState& s = *state_;
  qkv_ = tensor::empty(s.compute(), {x_.size(0), heads_.qkv_width()}, x_);
  attended_ = tensor::empty(s.compute(), {x_.size(0), heads_.width()}, x_);
  logsumexp_ = tensor::empty(
      tensor::sum_type(s.compute()), {heads_.queries, x_.size(0)}, x_);
  for (const Chunk& chunk : s.chunks) {
    at::Tensor normed = s.norm(chunk, x_, block_.attention_norm, statistics_);
    s.linears(block_.qkv, normed, chunk.of(qkv_));
  }
  if (block_.query_norm.weight.defined()) {
    qk_before_norm_ = tensor::columns(qkv_, 0, heads_.rotated_width()).clone();
    for (const Chunk& chunk : s.chunks) {
      norm_heads(chunk, qk_before_norm_, heads_, block_, qkv_);
    }
  }
  if (const auto& rotary = s.weights->rotary; rotary.cos.defined()) {
    tensor::rotate(qkv_, heads_, s.batch.positions, rotary, /*inverse=*/false);
  }
}

void AttentionPart::attend() {
  const PassState& s = *state_;
  if (s.cache != nullptr) {
    append_to_kv_cache(qkv_, heads_, index_, *s.cache);
  }
  if (s.cache != nullptr && s.cache->size > 0) {
    decode_attention(qkv_, heads_, index_, *s.cache, attended_);
  } else {
    tensor::attention(s.batch.offsets, qkv_, heads_, attended_, logsumexp_);
  }
}

at::Tensor AttentionPart::backward(const at::Tensor& dy) const {
  for (const Chunk& chunk : state_->chunks) {
    backward(chunk, dy);
  }
  return dy;
}

/// Replaces the chunk's rows of dy by those of dx.
void AttentionPart::backward(const Chunk& chunk, const at::Tensor& dy) const {
  const PassState& s = *state_;
  at::Tensor dbranch = s.branch_gradient(chunk, site_, dy);
  tensor::linear_weight_gradient(
      chunk,
      chunk.of(attended_),
      dbranch,
      block_.attention_out,
      s.compute(),
      s.gradients(block_.attention_out));
  at::Tensor dqkv = qkv_gradient(chunk, dbranch);
  at::Tensor normed = s.norm(chunk, x_, block_.attention_norm, statistics_);
  at::Tensor dnormed = s.linears_backward(chunk, block_.qkv, normed, dqkv);
  tensor::norm_backward(
      chunk,
      x_,
      dnormed,
      block_.attention_norm,
      statistics_,
      /*dx=*/dy,
      s.gradients(block_.attention_norm));
}

/// Gradient of the projections [R, (H + 2K) * D] before norms and rotation.
at::Tensor AttentionPart::qkv_gradient(
    const Chunk& chunk,
    const at::Tensor& dbranch) const {
  const PassState& s = *state_;
  at::Tensor dqkv = tensor::attention_backward(
      chunk,
      s.batch.offsets,
      qkv_,
      heads_,
      attended_,
      logsumexp_,
      s.input_gradient(block_.attention_out, dbranch));
  if (const auto& rotary = s.weights->rotary; rotary.cos.defined()) {
    tensor::rotate(
        dqkv,
        heads_,
        chunk.of(s.batch.positions),
        rotary,
        /*inverse=*/true);
  }
  if (qk_before_norm_.defined()) {
    norm_heads_backward(
        chunk,
        qk_before_norm_,
        heads_,
        block_,
        dqkv,
        {s.gradients(block_.query_norm), s.gradients(block_.key_norm)});
  }
  return dqkv;
}

} // namespace accrue
