// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "accrue/models/config.h"
#include "accrue/models/transformer.h"
#include "tensor/ops.h"

namespace accrue {

/// Ends of the names of adapters, after that of their layer.
constexpr const char* kAdapterA = ".lora_A.weight";
constexpr const char* kAdapterB = ".lora_B.weight";
constexpr const char* kTokenRows = ".token_adapter.trainable_tokens_delta";

/// Names of the tables of tokens in Hugging Face folders, without ".weight".
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
struct ModelWeights {
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
  /// Trained rows and their values before training.
  std::vector<std::pair<at::Tensor, at::Tensor>> base_rows;
  tensor::RotaryTable rotary; // undefined for GPT-2
  /// How tokens are cut; undecided until the first pass.
  mutable std::optional<tensor::Cut> cut;

  /// Puts trained rows into their tables, if they have changed.
  void place_rows();

  tensor::Heads heads() const {
    return {config.num_heads, config.num_kv_heads, config.head_dim};
  }

 private:
  std::array<int64_t, 2> placed_{-1, -1}; // versions of the rows in the tables
};

} // namespace accrue
