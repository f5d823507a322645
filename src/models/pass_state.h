// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/empty_like.h>

#include <memory>
#include <utility>
#include <vector>

#include "accrue/window/accumulators.h"
#include "models/kv_cache.h"
#include "models/model_weights.h"
#include "models/row_probe.h"

// Data and steps that the parts of a pass share.

namespace accrue {

using tensor::Chunk;

/// Data of one pass that its parts share.
struct PassState {
  std::shared_ptr<const ModelWeights> weights;
  TokenBatch batch;
  Accumulators* sums; // nullptr: no gradients
  KeyValueCache* cache;
  tensor::Cut cut;
  std::vector<Chunk> chunks; // whole samples
  tensor::Dropout dropout;

  PassState(
      std::shared_ptr<const ModelWeights> w,
      TokenBatch b,
      const tensor::DropoutKey& key,
      Accumulators* s,
      KeyValueCache* c)
      : weights(std::move(w)),
        batch(std::move(b)),
        sums(s),
        cache(c),
        cut(cut_of(*weights)),
        chunks(tensor::sample_chunks(stream(), cut)),
        dropout(key, batch.offsets, batch.sample_ids) {}
  PassState(const PassState&) = delete; // dropout looks at the batch
  PassState& operator=(const PassState&) = delete;

  tensor::LinearGradients gradients(const tensor::Linear& layer) const {
    tensor::LinearGradients g{sums->of(layer.weight), sums->of(layer.bias)};
    if (layer.adapter) {
      g.adapter_a = sums->of(layer.adapter->a);
      g.adapter_b = sums->of(layer.adapter->b);
    }
    if (layer.rows) {
      g.rows = sums->of(layer.rows->values);
    }
    return g;
  }

  tensor::NormGradients gradients(const tensor::Norm& norm) const {
    return {sums->of(norm.weight), sums->of(norm.bias)};
  }

  tensor::Type compute() const {
    return weights->compute;
  }
  /// Type of activations and gradients that enter a product.
  tensor::Type operand() const {
    return tensor::operand_type(weights->token_embedding, compute());
  }
  tensor::Stream stream() const {
    return {batch.offsets, batch.grains};
  }

  /// Applies dropout in place to the output of the embedding or its gradient.
  void drop_embedding(const at::Tensor& x) const {
    for (const Chunk& chunk : chunks) {
      dropout.apply(chunk, 0, chunk.of(x), {}, chunk.of(x));
    }
  }

  /// Whether a token of the chunk may have a weight w [T] that is not 0.
  bool has_targets(const Chunk& chunk, const at::Tensor& w) const {
    const at::Tensor& host = w.is_cpu() ? w : batch.host_weights;
    return !host.defined() ||
        chunk.of(host).count_nonzero().item<int64_t>() > 0;
  }

  /// Returns the norm of the chunk's rows of x, for a product.
  at::Tensor norm(
      const Chunk& chunk,
      const at::Tensor& x,
      const tensor::Norm& layer,
      const tensor::NormStatistics& statistics) const {
    return tensor::norm(chunk, x, layer, statistics, operand());
  }

  /// Writes y = x · [W₀ W₁ …].
  void linears(
      const std::vector<tensor::Linear>& layers,
      const at::Tensor& x,
      const at::Tensor& y) const {
    int64_t column = 0;
    for (const tensor::Linear& layer : layers) {
      int64_t width = tensor::out_width(layer);
      tensor::linear(x, layer, compute(), tensor::columns(y, column, width));
      column += width;
    }
  }

  /// Adds the gradients of the layers to the sums; returns that of x.
  at::Tensor linears_backward(
      const Chunk& chunk,
      const std::vector<tensor::Linear>& layers,
      const at::Tensor& x,
      const at::Tensor& dy) const {
    // Products of several layers are added up before they are rounded.
    at::Tensor dx = layers.size() == 1
        ? at::empty_like(x)
        : tensor::empty(tensor::sum_type(compute()), x.sizes(), x);
    int64_t column = 0;
    for (const tensor::Linear& layer : layers) {
      int64_t width = tensor::out_width(layer);
      at::Tensor part = tensor::columns(dy, column, width);
      tensor::linear_weight_gradient(
          chunk, x, part, layer, compute(), gradients(layer));
      tensor::linear_input_gradient(
          part, layer, compute(), dx, /*add=*/column > 0);
      column += width;
    }
    return dx;
  }

  /// Returns dy · Wᵀ for another product.
  at::Tensor input_gradient(const tensor::Linear& layer, const at::Tensor& dy)
      const {
    at::Tensor dx =
        tensor::empty(operand(), {dy.size(0), tensor::in_width(layer)}, dy);
    tensor::linear_input_gradient(dy, layer, compute(), dx);
    return dx;
  }

  /// Writes y = x + dropout(branch · W + bias) for the chunk's rows.
  void add_branch(
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& x,
      const at::Tensor& branch,
      const tensor::Linear& out,
      const at::Tensor& y) const {
    if (dropout.active()) {
      at::Tensor rows =
          tensor::empty(tensor::type_of(x), {chunk.size(), x.size(1)}, x);
      tensor::linear(branch, out, compute(), rows);
      dropout.apply(chunk, site, rows, chunk.of(x), chunk.of(y));
      return;
    }
    at::Tensor rows = chunk.of(y);
    if (out.bias.defined()) {
      at::add_out(rows, chunk.of(x), out.bias.detach());
    } else {
      rows.copy_(chunk.of(x));
    }
    tensor::linear(branch, out, compute(), rows, /*add=*/true);
  }

  /// Returns the gradient of the term that add_branch() adds, for a product.
  at::Tensor branch_gradient(
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& dy) const {
    at::Tensor rows = chunk.of(dy);
    if (!dropout.active()) {
      return rows.to(tensor::scalar_type(operand())); // rows, if it is that
    }
    at::Tensor masked = tensor::empty(operand(), rows.sizes(), rows);
    dropout.apply(chunk, site, rows, {}, masked);
    return masked;
  }
};
} // namespace accrue
