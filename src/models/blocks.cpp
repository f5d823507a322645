#include "models/blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

#include "accrue/core/error.h"
#include "models/graph.h"

namespace accrue {
namespace {

using tensor::Chunk;

/// Enough rows for a matrix product to be at its best; more would only cost
/// memory. Where weights are packed once per window, fewer are enough.
int64_t chunk_tokens(tensor::Type compute) {
  return compute == tensor::Type::kBf16 ? 512 : 1024;
}
/// The same for the head, where a row is as wide as the vocabulary.
constexpr int64_t kHeadTokens = 512;

tensor::Curve curve_of(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return tensor::Curve::kSilu;
    case Activation::kGelu:
      return tensor::Curve::kGelu;
    default:
      return tensor::Curve::kGeluTanh;
  }
}

at::Tensor empty(tensor::Type type, int64_t rows, int64_t width) {
  return at::empty(
      {rows, width}, at::TensorOptions().dtype(tensor::scalar_type(type)));
}

} // namespace

struct Pass::State {
  std::shared_ptr<const Weights> weights;
  TokenBatch batch;
  std::vector<Chunk> chunks; // whole samples
  tensor::Dropout dropout;

  State(
      std::shared_ptr<const Weights> w,
      TokenBatch b,
      const tensor::DropoutKey& key)
      : weights(std::move(w)),
        batch(std::move(b)),
        chunks(tensor::sample_chunks(
            batch.offsets,
            weights->compute,
            chunk_tokens(weights->compute))),
        dropout(key, batch.offsets, batch.sample_ids) {}

  tensor::Type compute() const {
    return weights->compute;
  }

  /// y = x · [W₀ W₁ …]
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

  /// Folds the layers' gradients; returns that of x.
  at::Tensor linears_backward(
      const Chunk& chunk,
      const std::vector<tensor::Linear>& layers,
      const at::Tensor& x,
      const at::Tensor& dy) const {
    at::Tensor dx = at::empty_like(x);
    int64_t column = 0;
    for (const tensor::Linear& layer : layers) {
      int64_t width = tensor::out_width(layer);
      at::Tensor part = tensor::columns(dy, column, width);
      tensor::linear_weight_gradient(chunk, x, part, layer, compute());
      tensor::linear_input_gradient(
          part, layer, compute(), dx, /*add=*/column > 0);
      column += width;
    }
    return dx;
  }

  /// dy · Wᵀ in the sum type.
  at::Tensor input_gradient(const tensor::Linear& layer, const at::Tensor& dy)
      const {
    at::Tensor dx =
        empty(tensor::type_of(dy), dy.size(0), tensor::in_width(layer));
    tensor::linear_input_gradient(dy, layer, compute(), dx);
    return dx;
  }

  /// y = x + dropout(branch · W + bias), the chunk's rows.
  void add_branch(
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& x,
      const at::Tensor& branch,
      const tensor::Linear& out,
      const at::Tensor& y) const {
    if (dropout.active()) {
      at::Tensor rows = empty(tensor::type_of(x), chunk.size(), x.size(1));
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

  /// The gradient of what add_branch adds.
  at::Tensor branch_gradient(
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& dy) const {
    at::Tensor rows = chunk.of(dy);
    if (!dropout.active()) {
      return rows;
    }
    at::Tensor masked = at::empty_like(rows);
    dropout.apply(chunk, site, rows, {}, masked);
    return masked;
  }
};

Pass::Pass(
    std::shared_ptr<const Weights> weights,
    TokenBatch batch,
    const tensor::DropoutKey& dropout)
    : state_(std::make_shared<State>(
          std::move(weights),
          std::move(batch),
          dropout)) {}

at::Tensor Pass::embed() const {
  const State& s = *state_;
  const Weights& w = *s.weights;
  const TokenBatch& batch = s.batch;
  at::Tensor x;
  {
    at::NoGradGuard no_grad;
    x = w.token_embedding.index_select(0, batch.tokens); // [T, C]
    if (w.position_embedding.defined()) {
      x.add_(w.position_embedding.index_select(0, batch.positions));
    }
    for (const Chunk& chunk : s.chunks) {
      if (s.dropout.active()) {
        s.dropout.apply(chunk, 0, chunk.of(x), {}, chunk.of(x));
      }
    }
  }
  return record(x, {}, [state = state_](const at::Tensor& dy) {
    const Weights& weights = *state->weights;
    at::Tensor dx = dy.contiguous();
    if (state->dropout.active()) {
      dx = at::empty_like(dy);
      for (const Chunk& chunk : state->chunks) {
        state->dropout.apply(chunk, 0, chunk.of(dy), {}, chunk.of(dx));
      }
    }
    tensor::embed_backward(weights.token_embedding, state->batch.tokens, dx);
    if (weights.position_embedding.defined()) {
      tensor::embed_backward(
          weights.position_embedding, state->batch.positions, dx);
    }
    return at::Tensor();
  });
}

at::Tensor Pass::block(size_t index, const at::Tensor& x, bool checkpointing)
    const {
  if (!checkpointing) {
    Part a = attention(index, x);
    at::Tensor middle = record(a.y, x, std::move(a.backward));
    Part m = mlp(index, middle);
    return record(m.y, middle, std::move(m.backward));
  }
  at::Tensor y = mlp(index, attention(index, x).y).y;
  return record(
      y, x, [pass = *this, index, x = x.detach()](const at::Tensor& dy) {
        Part a = pass.attention(index, x);
        Part m = pass.mlp(index, a.y, /*with_output=*/false);
        a.y.reset();
        at::Tensor dmiddle = m.backward(dy);
        m = {};
        return a.backward(dmiddle);
      });
}

Pass::Part Pass::attention(size_t index, const at::Tensor& x) const {
  const State& s = *state_;
  const Weights& w = *s.weights;
  const Block& block = w.blocks[index];
  const tensor::Heads heads = w.heads();
  const uint64_t site = 1 + 2 * index;
  int64_t tokens = x.size(0);
  auto statistics = tensor::make_statistics(block.attention_norm, x);
  at::Tensor qkv = empty(s.compute(), tokens, heads.qkv_width());
  at::Tensor mixed = empty(s.compute(), tokens, heads.width());
  at::Tensor logsumexp =
      empty(tensor::sum_type(s.compute()), heads.queries, tokens);
  at::Tensor y;
  {
    at::NoGradGuard no_grad;
    for (const Chunk& chunk : s.chunks) {
      at::Tensor normed =
          tensor::norm(chunk, x, block.attention_norm, statistics);
      s.linears(block.qkv, normed, chunk.of(qkv));
    }
    if (w.rotary.cos.defined()) {
      tensor::rotate(qkv, heads, s.batch.positions, w.rotary, /*back=*/false);
    }
    tensor::attention(s.batch.offsets, qkv, heads, mixed, logsumexp);
    y = at::empty_like(x);
    for (const Chunk& chunk : s.chunks) {
      s.add_branch(chunk, site, x, chunk.of(mixed), block.attention_out, y);
    }
  }
  auto backward = [state = state_,
                   &block,
                   heads,
                   site,
                   x = x.detach(),
                   statistics,
                   qkv,
                   mixed,
                   logsumexp](const at::Tensor& dy) {
    const State& run = *state;
    const tensor::RotaryTable& rotary = run.weights->rotary;
    at::Tensor dx = dy.clone();
    for (const Chunk& chunk : run.chunks) {
      at::Tensor dbranch = run.branch_gradient(chunk, site, dy);
      tensor::linear_weight_gradient(
          chunk, chunk.of(mixed), dbranch, block.attention_out, run.compute());
      at::Tensor dmixed = run.input_gradient(block.attention_out, dbranch);
      at::Tensor dqkv = tensor::attention_backward(
          chunk, run.batch.offsets, qkv, heads, mixed, logsumexp, dmixed);
      if (rotary.cos.defined()) {
        tensor::rotate(
            dqkv, heads, chunk.of(run.batch.positions), rotary, /*back=*/true);
      }
      at::Tensor normed =
          tensor::norm(chunk, x, block.attention_norm, statistics);
      at::Tensor dnormed = run.linears_backward(chunk, block.qkv, normed, dqkv);
      tensor::norm_backward(
          chunk, x, dnormed, block.attention_norm, statistics, dx);
    }
    return dx;
  };
  return {y, std::move(backward)};
}

Pass::Part Pass::mlp(size_t index, const at::Tensor& x, bool with_output)
    const {
  const State& s = *state_;
  const Block& block = s.weights->blocks[index];
  const bool gated = block.mlp_in.size() > 1;
  const tensor::Curve curve = curve_of(s.weights->config.activation);
  const uint64_t site = 2 + 2 * index;
  auto statistics = tensor::make_statistics(block.mlp_norm, x);
  at::Tensor inner = empty(
      s.compute(),
      x.size(0),
      s.weights->config.mlp_width * (gated ? 2 : 1)); // before the curve
  at::Tensor y;
  {
    at::NoGradGuard no_grad;
    if (with_output) {
      y = at::empty_like(x);
    }
    for (const Chunk& chunk : s.chunks) {
      at::Tensor normed = tensor::norm(chunk, x, block.mlp_norm, statistics);
      s.linears(block.mlp_in, normed, chunk.of(inner));
      if (!with_output) {
        continue;
      }
      at::Tensor active = tensor::activate(chunk.of(inner), curve, gated);
      s.add_branch(chunk, site, x, active, block.mlp_out, y);
    }
  }
  auto backward = [state = state_,
                   &block,
                   gated,
                   curve,
                   site,
                   x = x.detach(),
                   statistics,
                   inner](const at::Tensor& dy) {
    const State& run = *state;
    at::Tensor dx = dy.clone();
    for (const Chunk& chunk : run.chunks) {
      at::Tensor dbranch = run.branch_gradient(chunk, site, dy);
      tensor::Activated activated = tensor::activate_backward(
          chunk.of(inner),
          run.input_gradient(block.mlp_out, dbranch),
          curve,
          gated);
      tensor::linear_weight_gradient(
          chunk, activated.y, dbranch, block.mlp_out, run.compute());
      at::Tensor dinner = std::move(activated.dx);
      activated.y.reset();
      at::Tensor normed = tensor::norm(chunk, x, block.mlp_norm, statistics);
      at::Tensor dnormed =
          run.linears_backward(chunk, block.mlp_in, normed, dinner);
      tensor::norm_backward(chunk, x, dnormed, block.mlp_norm, statistics, dx);
    }
    return dx;
  };
  return {y, std::move(backward)};
}

at::Tensor Pass::logits(const at::Tensor& x) const {
  at::NoGradGuard no_grad;
  const State& s = *state_;
  const Weights& w = *s.weights;
  auto statistics = tensor::make_statistics(w.final_norm, x);
  at::Tensor logits =
      empty(tensor::type_of(x), x.size(0), w.head.weight.size(0));
  for (const Chunk& chunk : s.chunks) {
    at::Tensor normed = tensor::norm(chunk, x, w.final_norm, statistics);
    tensor::linear(normed, w.head, s.compute(), chunk.of(logits));
  }
  return logits;
}

at::Tensor Pass::loss_sum(const at::Tensor& x) const {
  const State& s = *state_;
  const Weights& w = *s.weights;
  const bool training = at::GradMode::is_enabled();
  auto statistics = tensor::make_statistics(w.final_norm, x);
  at::Tensor dx;
  double sum = 0;
  {
    at::NoGradGuard no_grad;
    if (training) {
      dx = at::zeros_like(x);
    }
    for (const Chunk& chunk :
         tensor::segment_chunks(s.batch.offsets, s.compute(), kHeadTokens)) {
      if (chunk.of(s.batch.weights).count_nonzero().item<int64_t>() == 0) {
        continue; // a prompt, say: its logits are not needed
      }
      at::Tensor normed = tensor::norm(chunk, x, w.final_norm, statistics);
      at::Tensor dnormed = training ? at::empty_like(normed) : at::Tensor();
      sum += tensor::cross_entropy(
          chunk,
          normed,
          w.head,
          s.compute(),
          s.batch.targets,
          s.batch.weights,
          dnormed);
      if (training) {
        tensor::norm_backward(chunk, x, dnormed, w.final_norm, statistics, dx);
      }
    }
  }
  return record(
      at::scalar_tensor(sum, at::TensorOptions().dtype(at::kDouble)),
      x,
      [dx](const at::Tensor& dy) {
        if (dy.item<double>() != 1) {
          throw Error(
              "[model] the loss sum must be differentiated as it is: the "
              "gradient of the head is made along with it. Scale weights "
              "instead.");
        }
        return dx;
      });
}

} // namespace accrue
