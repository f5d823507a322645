// SPDX-License-Identifier: Apache-2.0
#include "models/blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include <utility>

#include "models/heads.h"
#include "models/pass_state.h"
#include "tensor/version.h"

namespace accrue {

std::vector<const tensor::Linear*> Block::linears() const {
  std::vector<const tensor::Linear*> list;
  for (const tensor::Linear& linear : qkv) {
    list.push_back(&linear);
  }
  list.push_back(&attention_out);
  for (const tensor::Linear& linear : mlp_in) {
    list.push_back(&linear);
  }
  list.push_back(&mlp_out);
  return list;
}

void Weights::place_rows() {
  at::NoGradGuard no_grad;
  auto place = [](const tensor::TrainedRows* rows,
                  const at::Tensor& table,
                  int64_t& placed) {
    if (rows != nullptr && tensor::version_of(rows->values) != placed) {
      table.detach().index_copy_(
          0, rows->ids, rows->values.detach().to(table.scalar_type()));
      placed = tensor::version_of(rows->values);
    }
  };
  // Tied rows are the same values in the same table.
  if (!config.tied_head) {
    place(embedding_rows.get(), token_embedding, placed_[0]);
  }
  place(head.rows.get(), head.weight, placed_[1]);
}

Pass::Pass(
    std::shared_ptr<const Weights> weights,
    TokenBatch batch,
    const tensor::DropoutKey& dropout,
    Accumulators* sums,
    KeyValueCache* cache)
    : state_(std::make_shared<State>(
          std::move(weights),
          std::move(batch),
          dropout,
          sums,
          cache)) {}

at::Tensor Pass::hidden(bool recompute, Tape* tape) const {
  auto output = [&](Part part) {
    if (tape != nullptr) {
      tape->push_back(std::move(part.backward));
    }
    return part.y;
  };
  at::Tensor x = output(embed());
  for (size_t i = 0; i < state_->weights->blocks.size(); ++i) {
    if (recompute) {
      x = output(block(i, x));
    } else {
      x = output(attention(i, x));
      x = output(mlp(i, x));
    }
  }
  return x;
}

Pass::Part Pass::embed() const {
  const State& s = *state_;
  const Weights& w = *s.weights;
  at::Tensor x = w.token_embedding
                     .index_select(0, s.batch.tokens) // [T, C]
                     .to(tensor::scalar_type(tensor::sum_type(s.compute())));
  if (w.position_embedding.defined()) {
    x.add_(w.position_embedding.index_select(0, s.batch.positions));
  }
  if (s.dropout.active()) {
    s.drop_embedding(x);
  }
  auto backward = [state = state_](const at::Tensor& dy) {
    const State& run = *state;
    const Weights& weights = *run.weights;
    if (run.dropout.active()) {
      run.drop_embedding(dy);
    }
    // A tied table is used once more by the head.
    const size_t use = weights.config.tied_head ? 1 : 0;
    const at::Tensor& tokens = run.batch.tokens;
    if (at::Tensor sum = run.sums->of(weights.token_embedding, use);
        sum.defined()) {
      tensor::embed_backward(tokens, dy, sum);
    }
    if (const tensor::TrainedRows* rows = weights.embedding_rows.get()) {
      if (at::Tensor sum = run.sums->of(rows->values, use); sum.defined()) {
        tensor::embed_rows_backward(tokens, dy, rows->ids, sum);
      }
    }
    if (at::Tensor sum = run.sums->of(weights.position_embedding);
        sum.defined()) {
      tensor::embed_backward(run.batch.positions, dy, sum);
    }
    return at::Tensor();
  };
  return {x, std::move(backward)};
}

/// The whole block, of which backward keeps only the input.
Pass::Part Pass::block(size_t index, const at::Tensor& x) const {
  at::Tensor y = mlp(index, attention(index, x).y).y;
  return {y, [pass = *this, index, x](const at::Tensor& dy) {
            Part a = pass.attention(index, x);
            Part m = pass.mlp(index, a.y, /*with_output=*/false);
            a.y.reset();
            at::Tensor dmiddle = m.backward(dy);
            m = {};
            return a.backward(dmiddle);
          }};
}

Pass::Part Pass::attention(size_t index, const at::Tensor& x) const {
  const State& s = *state_;
  const Weights& w = *s.weights;
  const Block& block = w.blocks[index];
  const tensor::Heads heads = w.heads();
  const uint64_t site = 1 + 2 * index;
  int64_t tokens = x.size(0);
  auto statistics = tensor::make_statistics(block.attention_norm, x);
  at::Tensor qkv = tensor::empty(s.compute(), {tokens, heads.qkv_width()});
  at::Tensor raw; // queries and keys before their norms
  at::Tensor mixed = tensor::empty(s.compute(), {tokens, heads.width()});
  at::Tensor logsumexp =
      tensor::empty(tensor::sum_type(s.compute()), {heads.queries, tokens});
  at::Tensor y;
  {
    for (const Chunk& chunk : s.chunks) {
      at::Tensor normed =
          tensor::norm(chunk, x, block.attention_norm, statistics);
      s.linears(block.qkv, normed, chunk.of(qkv));
    }
    if (block.query_norm.weight.defined()) {
      raw = tensor::columns(qkv, 0, heads.rotated_width()).clone();
      for (const Chunk& chunk : s.chunks) {
        norm_heads(chunk, raw, heads, block, qkv);
      }
    }
    if (w.rotary.cos.defined()) {
      tensor::rotate(
          qkv, heads, s.batch.positions, w.rotary, /*inverse=*/false);
    }
    if (s.cache != nullptr) {
      remember(qkv, heads, index, *s.cache);
    }
    if (s.cache != nullptr && s.cache->size > 0) {
      attend(qkv, heads, index, *s.cache, mixed);
    } else {
      tensor::attention(s.batch.offsets, qkv, heads, mixed, logsumexp);
    }
    y = at::empty_like(x);
    for (const Chunk& chunk : s.chunks) {
      s.add_branch(chunk, site, x, chunk.of(mixed), block.attention_out, y);
    }
  }
  auto backward = [state = state_,
                   &block,
                   heads,
                   site,
                   x,
                   statistics,
                   qkv,
                   raw,
                   mixed,
                   logsumexp](const at::Tensor& dy) {
    const State& run = *state;
    const tensor::RotaryTable& rotary = run.weights->rotary;
    const at::Tensor& dx = dy; // in place: a chunk's rows change last
    for (const Chunk& chunk : run.chunks) {
      at::Tensor dbranch = run.branch_gradient(chunk, site, dy);
      tensor::linear_weight_gradient(
          chunk,
          chunk.of(mixed),
          dbranch,
          block.attention_out,
          run.compute(),
          run.gradients(block.attention_out));
      at::Tensor dqkv = tensor::attention_backward(
          chunk,
          run.batch.offsets,
          qkv,
          heads,
          mixed,
          logsumexp,
          run.input_gradient(block.attention_out, dbranch));
      if (rotary.cos.defined()) {
        tensor::rotate(
            dqkv,
            heads,
            chunk.of(run.batch.positions),
            rotary,
            /*inverse=*/true);
      }
      if (raw.defined()) {
        norm_heads_backward(
            chunk,
            raw,
            heads,
            block,
            dqkv,
            {run.gradients(block.query_norm), run.gradients(block.key_norm)});
      }
      at::Tensor normed =
          tensor::norm(chunk, x, block.attention_norm, statistics);
      at::Tensor dnormed = run.linears_backward(chunk, block.qkv, normed, dqkv);
      tensor::norm_backward(
          chunk,
          x,
          dnormed,
          block.attention_norm,
          statistics,
          dx,
          run.gradients(block.attention_norm));
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
  const Activation activation = s.weights->config.activation;
  const uint64_t site = 2 + 2 * index;
  auto statistics = tensor::make_statistics(block.mlp_norm, x);
  at::Tensor inner = tensor::empty(
      s.compute(),
      {x.size(0),
       s.weights->config.mlp_width * (gated ? 2 : 1)}); // before the activation
  at::Tensor y;
  {
    if (with_output) {
      y = at::empty_like(x);
    }
    for (const Chunk& chunk : s.chunks) {
      at::Tensor normed = tensor::norm(chunk, x, block.mlp_norm, statistics);
      s.linears(block.mlp_in, normed, chunk.of(inner));
      if (!with_output) {
        continue;
      }
      at::Tensor active = tensor::activate(chunk.of(inner), activation, gated);
      s.add_branch(chunk, site, x, active, block.mlp_out, y);
    }
  }
  auto backward =
      [state = state_, &block, gated, activation, site, x, statistics, inner](
          const at::Tensor& dy) {
        const State& run = *state;
        const at::Tensor& dx = dy; // in place: a chunk's rows change last
        for (const Chunk& chunk : run.chunks) {
          at::Tensor dbranch = run.branch_gradient(chunk, site, dy);
          at::Tensor dinner =
              tensor::empty(tensor::type_of(dy), {chunk.size(), inner.size(1)});
          tensor::linear_input_gradient(
              dbranch,
              block.mlp_out,
              run.compute(),
              tensor::value_columns(dinner, gated));
          at::Tensor active = tensor::activate_backward(
              chunk.of(inner), dinner, activation, gated);
          tensor::linear_weight_gradient(
              chunk,
              active,
              dbranch,
              block.mlp_out,
              run.compute(),
              run.gradients(block.mlp_out));
          at::Tensor normed =
              tensor::norm(chunk, x, block.mlp_norm, statistics);
          at::Tensor dnormed =
              run.linears_backward(chunk, block.mlp_in, normed, dinner);
          tensor::norm_backward(
              chunk,
              x,
              dnormed,
              block.mlp_norm,
              statistics,
              dx,
              run.gradients(block.mlp_norm));
        }
        return dx;
      };
  return {y, std::move(backward)};
}

} // namespace accrue
