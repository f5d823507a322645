// SPDX-License-Identifier: Apache-2.0
#include "models/pass.h"

#include <ATen/TensorOperators.h>

#include <utility>

#include "models/attention_part.h"
#include "models/mlp_part.h"
#include "models/pass_state.h"

namespace accrue {

Pass::Pass(
    std::shared_ptr<ModelWeights> weights,
    TokenBatch batch,
    const tensor::DropoutKey& dropout,
    Accumulators* sums,
    KeyValueCache* cache) {
  weights->place_rows();
  state_ = std::make_shared<PassState>(
      std::move(weights), std::move(batch), dropout, sums, cache);
}

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
  const PassState& s = *state_;
  const ModelWeights& w = *s.weights;
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
    const PassState& run = *state;
    const ModelWeights& weights = *run.weights;
    if (run.dropout.active()) {
      run.drop_embedding(dy);
    }
    // A tied table is used once more by the head.
    const size_t use = weights.config.tied_head ? 1 : 0;
    const at::Tensor& tokens = run.batch.tokens;
    const tensor::TrainedRows* rows = weights.embedding_rows.get();
    const at::Tensor table = run.sums->of(weights.token_embedding, use);
    const at::Tensor trained =
        rows == nullptr ? at::Tensor() : run.sums->of(rows->values, use);
    const at::Tensor places = run.sums->of(weights.position_embedding);
    for (const Chunk& chunk : run.chunks) {
      if (table.defined()) {
        tensor::embed_backward(chunk.of(tokens), chunk.of(dy), table);
      }
      if (trained.defined()) {
        tensor::embed_rows_backward(
            chunk.of(tokens), chunk.of(dy), rows->ids, trained);
      }
      if (places.defined()) {
        tensor::embed_backward(
            chunk.of(run.batch.positions), chunk.of(dy), places);
      }
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
  AttentionPart part(state_, index, x);
  at::Tensor y = part.forward();
  return {y, [part = std::move(part)](const at::Tensor& dy) {
            return part.backward(dy);
          }};
}

Pass::Part Pass::mlp(size_t index, const at::Tensor& x, bool with_output)
    const {
  MlpPart part(state_, index, x);
  at::Tensor y = part.forward(with_output);
  return {y, [part = std::move(part)](const at::Tensor& dy) {
            return part.backward(dy);
          }};
}

} // namespace accrue
