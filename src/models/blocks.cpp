#include "models/blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros_like.h>

#include <numeric>
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

/// Calls run(norm, first column, heads) for queries and for keys.
template <class Run>
void for_head_norms(
    const Block& block,
    const tensor::Heads& heads,
    const Run& run) {
  run(block.query_norm, int64_t{0}, heads.queries);
  run(block.key_norm, heads.width(), heads.keys);
}

/// The chunk with a row per head of each token, as a stream of its own.
Chunk per_head(const Chunk& chunk, int64_t heads) {
  Chunk rows;
  rows.end = chunk.size() * heads;
  for (int64_t piece : chunk.pieces) {
    rows.pieces.push_back(piece * heads);
  }
  return rows;
}

/// Columns of x [R, …] as [R · heads, D] of the sum type.
at::Tensor head_rows(
    const at::Tensor& x,
    int64_t first,
    int64_t heads,
    int64_t dim,
    at::ScalarType dtype) {
  return tensor::columns(x, first, heads * dim)
      .to(dtype)
      .contiguous()
      .view({-1, dim});
}

/// qkv = norm(raw), head by head, the chunk's rows.
void norm_heads(
    const Chunk& chunk,
    const at::Tensor& raw,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& qkv) {
  for_head_norms(
      block,
      heads,
      [&](const tensor::Norm& norm, int64_t first, int64_t count) {
        at::Tensor x = head_rows(
            chunk.of(raw), first, count, heads.dim, norm.weight.scalar_type());
        auto statistics = tensor::make_statistics(norm, x);
        at::Tensor y =
            tensor::norm(per_head(chunk, count), x, norm, statistics);
        tensor::columns(chunk.of(qkv), first, count * heads.dim)
            .copy_(y.view({chunk.size(), -1}));
      });
}

/// dqkv of the normed becomes that of the raw; the chunk's rows.
void norm_heads_backward(
    const Chunk& chunk,
    const at::Tensor& raw,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& dqkv) {
  for_head_norms(
      block,
      heads,
      [&](const tensor::Norm& norm, int64_t first, int64_t count) {
        at::ScalarType dtype = norm.weight.scalar_type();
        Chunk rows = per_head(chunk, count);
        at::Tensor x = head_rows(chunk.of(raw), first, count, heads.dim, dtype);
        at::Tensor dy = head_rows(dqkv, first, count, heads.dim, dtype);
        auto statistics = tensor::make_statistics(norm, x);
        tensor::norm(rows, x, norm, statistics); // for the statistics
        at::Tensor dx = at::zeros_like(x);
        tensor::norm_backward(rows, x, dy, norm, statistics, dx);
        tensor::columns(dqkv, first, count * heads.dim)
            .copy_(dx.view({chunk.size(), -1}));
      });
}

} // namespace

namespace {

/// Keys and values of the new tokens go into the cache.
void remember(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    KeyValueCache& cache) {
  int64_t tokens = qkv.size(0);
  auto store = [&](int64_t first, const at::Tensor& into) {
    into.narrow(1, cache.size, tokens)
        .copy_(tensor::columns(qkv, first, heads.keys * heads.dim)
                   .view({tokens, heads.keys, heads.dim})
                   .transpose(0, 1));
  };
  store(heads.width(), cache.keys[block]);
  store(heads.rotated_width(), cache.values[block]);
}

/// Attention of one new token to everything before it and itself.
void attend(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    const KeyValueCache& cache,
    const at::Tensor& out) {
  int64_t length = cache.size + 1;
  int64_t group = heads.queries / heads.keys;
  // Query heads of a group share keys: rows of one small matrix.
  at::Tensor q = tensor::columns(qkv, 0, heads.width())
                     .reshape({heads.keys, group, heads.dim});
  out.copy_(at::scaled_dot_product_attention(
                q.unsqueeze(0),
                cache.keys[block].narrow(1, 0, length).unsqueeze(0),
                cache.values[block].narrow(1, 0, length).unsqueeze(0))
                .reshape({1, heads.width()}));
}

} // namespace

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

struct Pass::State {
  std::shared_ptr<const Weights> weights;
  TokenBatch batch;
  KeyValueCache* cache;
  std::vector<Chunk> chunks; // whole samples
  tensor::Dropout dropout;

  State(
      std::shared_ptr<const Weights> w,
      TokenBatch b,
      const tensor::DropoutKey& key,
      KeyValueCache* c)
      : weights(std::move(w)),
        batch(std::move(b)),
        cache(c),
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
    const tensor::DropoutKey& dropout,
    KeyValueCache* cache)
    : state_(std::make_shared<State>(
          std::move(weights),
          std::move(batch),
          dropout,
          cache)) {}

at::Tensor Pass::embed() const {
  const State& s = *state_;
  const Weights& w = *s.weights;
  const TokenBatch& batch = s.batch;
  at::Tensor x;
  {
    at::NoGradGuard no_grad;
    x = w.token_embedding
            .index_select(0, batch.tokens) // [T, C]
            .to(tensor::scalar_type(tensor::sum_type(s.compute())));
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
  at::Tensor raw; // queries and keys before their norms
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
    if (block.query_norm.weight.defined()) {
      raw = tensor::columns(qkv, 0, heads.rotated_width()).clone();
      for (const Chunk& chunk : s.chunks) {
        norm_heads(chunk, raw, heads, block, qkv);
      }
    }
    if (w.rotary.cos.defined()) {
      tensor::rotate(qkv, heads, s.batch.positions, w.rotary, /*back=*/false);
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
                   x = x.detach(),
                   statistics,
                   qkv,
                   raw,
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
      if (raw.defined()) {
        norm_heads_backward(chunk, raw, heads, block, dqkv);
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

at::Tensor Pass::logits(const at::Tensor& x, int64_t first) const {
  at::NoGradGuard no_grad;
  const State& s = *state_;
  const Weights& w = *s.weights;
  at::Tensor rows = x.narrow(0, first, x.size(0) - first);
  auto statistics = tensor::make_statistics(w.final_norm, rows);
  at::Tensor logits =
      empty(tensor::type_of(x), rows.size(0), w.head.weight.size(0));
  for (int64_t begin = 0; begin < rows.size(0); begin += kHeadTokens) {
    Chunk chunk;
    chunk.begin = begin;
    chunk.end = std::min(begin + kHeadTokens, rows.size(0));
    at::Tensor normed = tensor::norm(chunk, rows, w.final_norm, statistics);
    tensor::linear(normed, w.head, s.compute(), chunk.of(logits));
  }
  return logits;
}

at::Tensor Pass::run_head(
    const at::Tensor& x,
    const at::Tensor& weights,
    const at::Tensor& dx) const {
  at::NoGradGuard no_grad;
  const State& s = *state_;
  const Weights& w = *s.weights;
  auto statistics = tensor::make_statistics(w.final_norm, x);
  at::Tensor losses = at::zeros_like(weights);
  for (const Chunk& chunk :
       tensor::segment_chunks(s.batch.offsets, s.compute(), kHeadTokens)) {
    if (chunk.of(weights).count_nonzero().item<int64_t>() == 0) {
      continue; // a prompt, say: its logits are not needed
    }
    at::Tensor normed = tensor::norm(chunk, x, w.final_norm, statistics);
    at::Tensor dnormed = dx.defined() ? at::empty_like(normed) : at::Tensor();
    chunk.of(losses).copy_(tensor::cross_entropy(
        chunk, normed, w.head, s.compute(), s.batch.targets, weights, dnormed));
    if (dx.defined()) {
      tensor::norm_backward(chunk, x, dnormed, w.final_norm, statistics, dx);
    }
  }
  return losses;
}

namespace {

/// In order of the tokens.
double sum_in_order(const at::Tensor& losses) {
  const double* loss = losses.const_data_ptr<double>();
  return std::accumulate(loss, loss + losses.numel(), 0.0);
}

/// A loss whose gradient of x is already there.
at::Tensor record_loss(double sum, const at::Tensor& x, const at::Tensor& dx) {
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

/// Zeros for the gradient of x; undefined if none is asked for.
at::Tensor gradient_like(const at::Tensor& x) {
  return at::GradMode::is_enabled() ? at::zeros_like(x.detach()) : at::Tensor();
}

} // namespace

at::Tensor Pass::loss_sum(const at::Tensor& x) const {
  at::Tensor dx = gradient_like(x);
  double sum = sum_in_order(run_head(x, state_->batch.weights, dx));
  return record_loss(sum, x, dx);
}

at::Tensor Pass::token_losses(const at::Tensor& x) const {
  at::Tensor asked = state_->batch.weights.ne(0).to(at::kDouble);
  return run_head(x, asked, {});
}

at::Tensor Pass::loss_sum(const at::Tensor& x, const TokenObjective& objective)
    const {
  at::Tensor losses = token_losses(x);
  at::Tensor derivative = at::zeros_like(losses);
  double sum = objective(losses, derivative);
  at::Tensor dx = gradient_like(x);
  if (dx.defined()) {
    run_head(x, derivative, dx);
  }
  return record_loss(sum, x, dx);
}

} // namespace accrue
