// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "accrue/core/export.h"
#include "accrue/tensor/activation.h"

namespace accrue {

/// Families of models. kLlama also stands for Mistral, Qwen2 and Qwen3, which
/// differ only in ModelConfig's switches.
enum class Family { kGpt2, kLlama };
/// Scaling of rotary frequencies: none, all divided (arXiv 2306.15595), or only
/// the low ones, as in Llama 3.1.
enum class RopeScaling { kNone, kLinear, kLlama3 };
using tensor::Activation;

/// A decoder-only transformer as a Hugging Face config.json describes it.
struct ACCRUE_API ModelConfig {
  Family family = Family::kGpt2;
  int64_t vocab_size = 0;
  /// Width of the residual stream (C).
  int64_t width = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  /// Key/value heads; fewer than num_heads for grouped queries.
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  /// Inner width of the MLP.
  int64_t mlp_width = 0;
  /// Longest sequence.
  int64_t max_positions = 0;
  Activation activation = Activation::kGeluTanh;
  double norm_epsilon = 1e-5;
  /// Standard deviation of freshly drawn weights.
  double init_std = 0.02;
  /// Rotary base and scaling; Llama only.
  double rope_theta = 10000;
  RopeScaling rope_scaling = RopeScaling::kNone;
  double rope_factor = 1;
  double rope_low_freq_factor = 1; // kLlama3, as the next two
  double rope_high_freq_factor = 4;
  double rope_original_positions = 8192;
  /// The output head is the token embedding.
  bool tied_head = true;
  bool qkv_bias = true;
  bool attention_out_bias = true;
  bool mlp_bias = true;
  /// RMSNorm over each head of queries and keys (Qwen3).
  bool head_norm = false;
  /// Token that separates documents, or -1 if the config names none.
  int64_t eos_token = -1;
  /// Text of the config.json, written back beside trained weights.
  std::string json;

  /// Parameters of a model of this shape. A tied head counts once.
  [[nodiscard]] int64_t num_parameters() const;
};

/// Reads `path`, a config.json or a folder that holds one. Fields that don't
/// touch the result are ignored; any other field that accrue does not support
/// is an error. Throws DataError listing every problem.
ACCRUE_API ModelConfig read_model_config(const std::filesystem::path& path);

} // namespace accrue
