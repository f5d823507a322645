// SPDX-License-Identifier: Apache-2.0
#include "accrue/models/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "core/functions.h"
#include "models/fresh_weights.h"
#include "models/layer_of.h"
#include "models/pass.h"

namespace accrue {

/// Creates parameters in order, under their checkpoint names.
class Transformer::Builder {
 public:
  Builder(Transformer& model, const ModelOptions& options)
      : model_(model),
        options_(options),
        dtype_(tensor::scalar_type(tensor::sum_type(model.weights_->compute))),
        matrix_dtype_(
            options.lora && options.bf16_base && dtype_ == at::kFloat
                ? at::kBFloat16
                : dtype_) {}

  at::Tensor normal(
      const std::string& name,
      at::IntArrayRef shape,
      double std) {
    at::Tensor tensor = empty(shape, matrix_dtype_);
    if (!options_.uninitialized) {
      fill_normal(tensor, std, key(name));
    }
    return add(name, tensor, /*trained=*/!options_.lora);
  }

  at::Tensor constant(const std::string& name, int64_t size, double value) {
    return add(
        name,
        empty({size}, dtype_).fill_(value),
        /*trained=*/!options_.lora);
  }

  tensor::Linear linear(
      const std::string& name,
      int64_t in,
      int64_t out,
      bool bias,
      double std,
      tensor::WeightLayout layout = tensor::WeightLayout::kOutIn) {
    bool out_first = layout == tensor::WeightLayout::kOutIn;
    at::Tensor weight = normal(
        name + ".weight",
        out_first ? at::IntArrayRef{out, in} : at::IntArrayRef{in, out},
        std);
    at::Tensor offset = bias ? constant(name + ".bias", out, 0) : at::Tensor();
    if (!options_.lora) {
      return tensor::make_linear(weight, offset, layout);
    }
    // Frozen weights are not packed: a packed copy would double their memory.
    tensor::Linear linear{weight, offset, layout};
    if (is_target(name)) {
      linear.adapter = adapter(name, in, out);
    }
    return linear;
  }

  tensor::Norm norm(const std::string& name, int64_t width, bool bias) {
    tensor::Norm norm;
    norm.epsilon = model_.config().norm_epsilon;
    norm.weight = constant(name + ".weight", width, 1);
    if (bias) {
      norm.bias = constant(name + ".bias", width, 0);
    }
    return norm;
  }

  /// Trained rows of the table `name`: those of LoraOptions::tokens.
  std::shared_ptr<const tensor::TrainedRows> rows(const std::string& name) {
    const auto& tokens = options_.lora->tokens;
    auto count = static_cast<int64_t>(tokens.size());
    auto made = std::make_shared<tensor::TrainedRows>();
    at::Tensor ids = at::empty({count}, at::kLong);
    std::copy(tokens.begin(), tokens.end(), ids.mutable_data_ptr<int64_t>());
    made->ids = ids.to(options_.device);
    made->values =
        add(name + kTokenRows,
            empty({count, model_.config().width}, dtype_).zero_(),
            /*trained=*/true);
    return made;
  }

  /// Targets of LoRA that no layer has.
  std::vector<std::string> unmatched() const {
    std::vector<std::string> list;
    if (options_.lora) {
      for (const std::string& target : options_.lora->targets) {
        if (!matched_.contains(target)) {
          list.push_back(target);
        }
      }
    }
    return list;
  }

 private:
  at::Tensor empty(at::IntArrayRef shape, at::ScalarType dtype) const {
    return at::empty(
        shape, at::TensorOptions().dtype(dtype).device(options_.device));
  }

  uint64_t key(const std::string& name) const {
    return mix(options_.seed, hash_name(name));
  }

  bool is_target(const std::string& name) {
    bool found = false;
    for (const std::string& target : options_.lora->targets) {
      if (target == "all-linear" || name == target ||
          name.ends_with("." + target)) {
        matched_.insert(target);
        found = true;
      }
    }
    return found;
  }

  /// A uniform in ±1/√in and B 0, as PEFT draws them.
  std::shared_ptr<const tensor::Adapter> adapter(
      const std::string& name,
      int64_t in,
      int64_t out) {
    const LoraOptions& lora = *options_.lora;
    auto made = std::make_shared<tensor::Adapter>();
    made->scale = lora.alpha / static_cast<double>(lora.rank);
    made->a = empty({lora.rank, in}, dtype_);
    fill_uniform(
        made->a, 1 / std::sqrt(static_cast<double>(in)), key(name + kAdapterA));
    made->b = empty({out, lora.rank}, dtype_).zero_();
    add(name + kAdapterA, made->a, true);
    add(name + kAdapterB, made->b, true);
    return made;
  }

  at::Tensor add(const std::string& name, at::Tensor tensor, bool trained) {
    tensor.requires_grad_(trained);
    model_.parameters_.emplace_back(name, tensor);
    return tensor;
  }

  Transformer& model_;
  const ModelOptions& options_;
  at::ScalarType dtype_;
  at::ScalarType matrix_dtype_;
  std::set<std::string> matched_;
};

namespace {

tensor::Type compute_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFp64:
      return tensor::Type::kF64;
    case Dtype::kBf16:
      return tensor::Type::kBf16;
    default:
      return tensor::Type::kF32;
  }
}

} // namespace

Transformer::Transformer(const ModelConfig& config, const ModelOptions& options)
    : weights_(std::make_shared<ModelWeights>()) {
  at::NoGradGuard no_grad;
  weights_->config = config;
  weights_->compute = compute_type(options.dtype);
  weights_->lora = options.lora;
  Builder builder(*this, options);
  if (config.family == Family::kGpt2) {
    build_gpt2(builder);
  } else {
    build_llama(builder);
  }
  if (auto names = builder.unmatched(); !names.empty()) {
    throw ConfigError(fmt::format(
        "[lora] the model has no linear layer {}. Its layers are {}; "
        "all-linear means all of them.",
        fmt::join(names, ", "),
        config.family == Family::kGpt2
            ? "c_attn, c_proj, c_fc"
            : "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
              "down_proj"));
  }
  at::Tensor head = weights_->token_embedding;
  if (!config.tied_head) {
    head = builder.normal(
        "lm_head.weight", {config.vocab_size, config.width}, config.init_std);
  }
  weights_->head = {head, {}, tensor::WeightLayout::kOutIn};
  if (!options.device.is_cpu() && !options.lora) {
    // On a CPU the copy would be the largest and save little.
    weights_->head =
        tensor::make_linear(head, {}, tensor::WeightLayout::kOutIn);
  }
  if (options.lora && !options.lora->tokens.empty()) {
    build_rows(builder);
  }
}

/// Rows that are trained beside the adapters.
void Transformer::build_rows(Builder& builder) {
  ModelWeights& w = *weights_;
  const LoraOptions& lora = *w.lora;
  for (int64_t token : lora.tokens) {
    if (token < 0 || token >= config().vocab_size) {
      throw ConfigError(fmt::format(
          "[lora] token {} has no embedding to train, the model has {}. "
          "Enlarge it first: resize_token_embeddings() in transformers.",
          token,
          config().vocab_size));
    }
  }
  w.embedding_rows = builder.rows(embedding_name(config().family));
  if (config().tied_head) {
    w.head.rows = w.embedding_rows;
  } else if (lora.tokens_in_head) {
    w.head.rows = builder.rows(kHeadName);
  }
  load_base_rows();
}

/// GPT-2: normal(0, std) for every matrix, std/√(2·layers) for those that write
/// to the residual stream (Radford et al. 2019), biases 0.
void Transformer::build_gpt2(Builder& builder) {
  const ModelConfig& c = config();
  ModelWeights& w = *weights_;
  const double std = c.init_std;
  const double residual_std =
      std / std::sqrt(2.0 * static_cast<double>(c.num_layers));
  auto linear =
      [&](const std::string& name, int64_t in, int64_t out, double s) {
        return builder.linear(
            name, in, out, /*bias=*/true, s, tensor::WeightLayout::kInOut);
      };
  w.token_embedding =
      builder.normal("transformer.wte.weight", {c.vocab_size, c.width}, std);
  w.position_embedding =
      builder.normal("transformer.wpe.weight", {c.max_positions, c.width}, std);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    auto name = [&](const char* part) {
      return fmt::format("{}{}.{}", block_prefix(c.family), i, part);
    };
    Block block;
    block.attention_norm = builder.norm(name("ln_1"), c.width, true);
    block.qkv = {linear(name("attn.c_attn"), c.width, 3 * c.width, std)};
    block.attention_out =
        linear(name("attn.c_proj"), c.width, c.width, residual_std);
    block.mlp_norm = builder.norm(name("ln_2"), c.width, true);
    block.mlp_in = {linear(name("mlp.c_fc"), c.width, c.mlp_width, std)};
    block.mlp_out =
        linear(name("mlp.c_proj"), c.mlp_width, c.width, residual_std);
    w.blocks.push_back(std::move(block));
  }
  w.final_norm = builder.norm("transformer.ln_f", c.width, true);
}

namespace {

/// Frequencies [D/2] in fp32, as transformers computes them, except for the
/// last digit of the power, which depends on the machine in LibTorch.
at::Tensor rotary_frequencies(const ModelConfig& c) {
  auto fp32 = at::TensorOptions().dtype(at::kFloat);
  at::Tensor exponent = at::arange(0, c.head_dim, 2, fp32) / c.head_dim;
  at::Tensor frequencies = at::empty_like(exponent);
  for (int64_t i = 0; i < exponent.numel(); ++i) {
    auto wave = static_cast<float>(
        power(c.rope_theta, exponent.const_data_ptr<float>()[i]));
    frequencies.mutable_data_ptr<float>()[i] = 1 / wave;
  }
  if (c.rope_scaling == RopeScaling::kLinear) {
    return frequencies / c.rope_factor;
  }
  if (c.rope_scaling == RopeScaling::kLlama3) {
    // Long waves are stretched, short ones kept, those between blended.
    constexpr double kTwoPi = 6.283185307179586;
    at::Tensor waves = frequencies.reciprocal() * kTwoPi;
    at::Tensor blend = (waves.reciprocal() * c.rope_original_positions -
                        c.rope_low_freq_factor) /
        (c.rope_high_freq_factor - c.rope_low_freq_factor);
    at::Tensor slow = frequencies / c.rope_factor;
    return at::where(
        waves > c.rope_original_positions / c.rope_low_freq_factor,
        slow,
        at::where(
            waves < c.rope_original_positions / c.rope_high_freq_factor,
            frequencies,
            slow * (1 - blend) + frequencies * blend));
  }
  return frequencies;
}

} // namespace

/// Llama: normal(0, std) for every matrix.
void Transformer::build_llama(Builder& builder) {
  const ModelConfig& c = config();
  ModelWeights& w = *weights_;
  const int64_t q_width = c.num_heads * c.head_dim;
  const int64_t kv_width = c.num_kv_heads * c.head_dim;
  w.token_embedding = builder.normal(
      "model.embed_tokens.weight", {c.vocab_size, c.width}, c.init_std);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    auto linear = [&](const char* part, int64_t in, int64_t out, bool bias) {
      return builder.linear(
          fmt::format("{}{}.{}", block_prefix(c.family), i, part),
          in,
          out,
          bias,
          c.init_std);
    };
    auto norm = [&](const char* part, int64_t width) {
      return builder.norm(
          fmt::format("{}{}.{}", block_prefix(c.family), i, part),
          width,
          false);
    };
    Block block;
    block.attention_norm = norm("input_layernorm", c.width);
    block.qkv = {
        linear("self_attn.q_proj", c.width, q_width, c.qkv_bias),
        linear("self_attn.k_proj", c.width, kv_width, c.qkv_bias),
        linear("self_attn.v_proj", c.width, kv_width, c.qkv_bias)};
    block.attention_out =
        linear("self_attn.o_proj", q_width, c.width, c.attention_out_bias);
    if (c.head_norm) {
      block.query_norm = norm("self_attn.q_norm", c.head_dim);
      block.key_norm = norm("self_attn.k_norm", c.head_dim);
    }
    block.mlp_norm = norm("post_attention_layernorm", c.width);
    block.mlp_in = {
        linear("mlp.gate_proj", c.width, c.mlp_width, c.mlp_bias),
        linear("mlp.up_proj", c.width, c.mlp_width, c.mlp_bias)};
    block.mlp_out = linear("mlp.down_proj", c.mlp_width, c.width, c.mlp_bias);
    w.blocks.push_back(std::move(block));
  }
  w.final_norm = builder.norm("model.norm", c.width, false);
  // Made on the CPU: the same on every device.
  const tensor::RotaryTable table = tensor::rotary_table(
      c.max_positions,
      rotary_frequencies(c),
      tensor::scalar_type(tensor::sum_type(w.compute)));
  w.rotary = {
      table.cos.to(w.token_embedding.device()),
      table.sin.to(w.token_embedding.device())};
}

} // namespace accrue
