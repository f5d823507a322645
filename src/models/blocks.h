// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "accrue/models/transformer.h"
#include "tensor/ops.h"

// The parts of a transformer, each with its own backward. A part keeps only its
// input and the values that would take another matrix product to compute again.

namespace accrue {

/// Ends of the names of adapters, after that of their layer.
constexpr const char* kAdapterA = ".lora_A.weight";
constexpr const char* kAdapterB = ".lora_B.weight";
constexpr const char* kTokenRows = ".token_adapter.trainable_tokens_delta";

/// Names of the tables of tokens in checkpoints, without ".weight".
constexpr const char* kHeadName = "lm_head";
constexpr const char* embedding_name(Family family) {
  return family == Family::kGpt2 ? "transformer.wte" : "model.embed_tokens";
}

struct Block {
  tensor::Norm attention_norm;
  std::vector<tensor::Linear> qkv; // one fused or three
  tensor::Norm query_norm; // of each head; undefined: none
  tensor::Norm key_norm;
  tensor::Linear attention_out;
  tensor::Norm mlp_norm;
  std::vector<tensor::Linear> mlp_in; // one, or gate and up
  tensor::Linear mlp_out;

  std::vector<const tensor::Linear*> linears() const;
};

/// Layers of a model. They share the tensors that
/// Transformer::named_parameters() lists.
struct Weights {
  ModelConfig config;
  std::optional<LoraOptions> lora;
  tensor::Type compute = tensor::Type::kF32;
  at::Tensor token_embedding; // [V, C]; tied: also the weight of the head
  at::Tensor position_embedding; // [positions, C], GPT-2 only
  std::vector<Block> blocks;
  tensor::Norm final_norm;
  tensor::Linear head; // [V, C]
  /// Trained rows of the embedding (LoraOptions::tokens); tied: also of the
  /// head.
  std::shared_ptr<const tensor::TrainedRows> embedding_rows;
  /// Trained rows and their values in the loaded weights.
  std::vector<std::pair<at::Tensor, at::Tensor>> base_rows;
  tensor::RotaryTable rotary; // Llama only

  /// Puts trained rows into their tables, if they have changed.
  void place_rows();

  tensor::Heads heads() const {
    return {config.num_heads, config.num_kv_heads, config.head_dim};
  }

 private:
  std::array<int64_t, 2> placed_{-1, -1}; // versions of what is in the tables
};

/// Keys and values of the tokens that a sequence began with.
struct KeyValueCache {
  int64_t size = 0; // tokens
  int64_t max_tokens = 0;
  /// Per block [K, max_tokens, D] in the compute type.
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
};

/// From the gradient of an output to that of the input, in the same memory if
/// possible: it runs once and owns its argument.
using Backward = std::function<at::Tensor(const at::Tensor&)>;

/// Backward functions in the order of the forward pass.
using Tape = std::vector<Backward>;

/// One pass of a micro-batch through a model, without autograd. Gradients of
/// parameters are added to `sums` by the backward functions and by the head.
class Pass {
 public:
  /// With a cache the batch is one sequence that goes on where the cache ends:
  /// its first tokens, or one more. A pass with a cache, or without `sums`,
  /// computes no gradients.
  Pass(
      std::shared_ptr<const Weights> weights,
      TokenBatch batch,
      const tensor::DropoutKey& dropout,
      Accumulators* sums = nullptr,
      KeyValueCache* cache = nullptr);

  /// The blocks' output [T, C] for the whole batch. With a tape, the functions
  /// that propagate its gradient are appended to the tape. With `recompute`
  /// they keep only the input of every block and compute the rest again: the
  /// same bits, a third more work.
  at::Tensor hidden(bool recompute, Tape* tape) const;

  /// Logits [R, V] of the rows of x from `first` on.
  at::Tensor logits(const at::Tensor& x, int64_t first = 0) const;

  /// Σ weight · cross-entropy, or the objective of the tokens' cross-entropies:
  /// an fp64 scalar. With `dx` [T, C], zeros, also the gradient of x and those
  /// of the head, so that its logits are made only once.
  at::Tensor loss(
      const at::Tensor& x,
      const TokenObjective& objective,
      const at::Tensor& dx) const;

  /// Cross-entropy [T] where the weight is not 0, fp64.
  at::Tensor token_losses(const at::Tensor& x) const;

 private:
  /// Output of a part of a block and the function for its gradient.
  struct Part {
    at::Tensor y;
    Backward backward;
  };
  Part embed() const;
  Part block(size_t index, const at::Tensor& x) const;
  Part attention(size_t block, const at::Tensor& x) const;
  /// The tokens' weighted losses [T]; with `dx` [T, C] also gradients.
  at::Tensor run_head(
      const at::Tensor& x,
      const at::Tensor& weights,
      const at::Tensor& dx) const;
  /// `with_output` false: leaves out the last matrix product, which backward
  /// does not need.
  Part mlp(size_t block, const at::Tensor& x, bool with_output = true) const;

  struct State;
  std::shared_ptr<const State> state_;
};

} // namespace accrue
