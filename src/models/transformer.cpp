#include "accrue/models/transformer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <cmath>

#include "accrue/core/random.h"
#include "models/blocks.h"

namespace accrue {
namespace {

uint64_t hash_name(const std::string& name) {
  uint64_t hash = 0;
  for (char c : name) {
    hash = mix(hash, static_cast<unsigned char>(c));
  }
  return hash;
}

void fill_normal(at::Tensor& tensor, double std, uint64_t key) {
  CounterRandom random(key);
  at::Tensor values = at::empty(tensor.sizes(), at::kDouble);
  double* out = values.mutable_data_ptr<double>();
  auto count = static_cast<uint64_t>(tensor.numel());
  for (uint64_t i = 0; i < count; i += 2) {
    auto pair = random.normal(i / 2);
    out[i] = std * pair[0];
    if (i + 1 < count) {
      out[i + 1] = std * pair[1];
    }
  }
  tensor.copy_(values);
}

} // namespace

/// Creates parameters in order, under their checkpoint names.
class Transformer::Builder {
 public:
  Builder(Transformer& model, uint64_t seed)
      : model_(model),
        seed_(seed),
        dtype_(tensor::scalar_type(tensor::sum_type(model.weights_->compute))) {
  }

  at::Tensor normal(
      const std::string& name,
      at::IntArrayRef shape,
      double std) {
    at::Tensor tensor = at::empty(shape, dtype_);
    fill_normal(tensor, std, mix(seed_, hash_name(name)));
    return add(name, tensor);
  }

  at::Tensor constant(const std::string& name, int64_t size, double value) {
    return add(name, at::empty({size}, dtype_).fill_(value));
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
    return tensor::make_linear(
        weight, bias ? constant(name + ".bias", out, 0) : at::Tensor(), layout);
  }

  tensor::Norm norm(const std::string& name, bool bias) {
    const ModelConfig& config = model_.config();
    tensor::Norm norm;
    norm.epsilon = config.norm_epsilon;
    norm.weight = constant(name + ".weight", config.width, 1);
    if (bias) {
      norm.bias = constant(name + ".bias", config.width, 0);
    }
    return norm;
  }

 private:
  at::Tensor add(const std::string& name, at::Tensor tensor) {
    tensor.requires_grad_();
    model_.parameters_.emplace_back(name, tensor);
    return tensor;
  }

  Transformer& model_;
  uint64_t seed_;
  at::ScalarType dtype_;
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

Transformer::Transformer(const ModelConfig& config, Dtype dtype, uint64_t seed)
    : weights_(std::make_shared<Weights>()) {
  at::NoGradGuard no_grad;
  weights_->config = config;
  weights_->compute = compute_type(dtype);
  Builder builder(*this, seed);
  if (config.family == Family::kGpt2) {
    build_gpt2(builder);
  } else {
    build_llama(builder);
  }
  at::Tensor head = weights_->token_embedding;
  if (config.tied_head) {
    weights_->token_embedding = head.detach().requires_grad_();
  } else {
    head = builder.normal(
        "lm_head.weight", {config.vocab_size, config.width}, config.init_std);
  }
  // Without a packed copy: it would be the largest of all and wins little.
  weights_->head = {head, {}, tensor::WeightLayout::kOutIn, nullptr};
}

const ModelConfig& Transformer::config() const {
  return weights_->config;
}

/// GPT-2: normal(0, std) for every matrix, std/√(2·layers) for those that write
/// to the residual stream (Radford et al. 2019), biases 0.
void Transformer::build_gpt2(Builder& builder) {
  const ModelConfig& c = config();
  Weights& w = *weights_;
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
      return fmt::format("transformer.h.{}.{}", i, part);
    };
    Block block;
    block.attention_norm = builder.norm(name("ln_1"), true);
    block.qkv = {linear(name("attn.c_attn"), c.width, 3 * c.width, std)};
    block.attention_out =
        linear(name("attn.c_proj"), c.width, c.width, residual_std);
    block.mlp_norm = builder.norm(name("ln_2"), true);
    block.mlp_in = {linear(name("mlp.c_fc"), c.width, c.mlp_width, std)};
    block.mlp_out =
        linear(name("mlp.c_proj"), c.mlp_width, c.width, residual_std);
    w.blocks.push_back(std::move(block));
  }
  w.final_norm = builder.norm("transformer.ln_f", true);
}

/// Llama: normal(0, std) for every matrix.
void Transformer::build_llama(Builder& builder) {
  const ModelConfig& c = config();
  Weights& w = *weights_;
  const int64_t q_width = c.num_heads * c.head_dim;
  const int64_t kv_width = c.num_kv_heads * c.head_dim;
  w.token_embedding = builder.normal(
      "model.embed_tokens.weight", {c.vocab_size, c.width}, c.init_std);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    auto linear = [&](const char* part, int64_t in, int64_t out, bool bias) {
      return builder.linear(
          fmt::format("model.layers.{}.{}", i, part),
          in,
          out,
          bias,
          c.init_std);
    };
    auto norm = [&](const char* part) {
      return builder.norm(fmt::format("model.layers.{}.{}", i, part), false);
    };
    Block block;
    block.attention_norm = norm("input_layernorm");
    block.qkv = {
        linear("self_attn.q_proj", c.width, q_width, c.attention_bias),
        linear("self_attn.k_proj", c.width, kv_width, c.attention_bias),
        linear("self_attn.v_proj", c.width, kv_width, c.attention_bias)};
    block.attention_out =
        linear("self_attn.o_proj", q_width, c.width, c.attention_bias);
    block.mlp_norm = norm("post_attention_layernorm");
    block.mlp_in = {
        linear("mlp.gate_proj", c.width, c.mlp_width, c.mlp_bias),
        linear("mlp.up_proj", c.width, c.mlp_width, c.mlp_bias)};
    block.mlp_out = linear("mlp.down_proj", c.mlp_width, c.width, c.mlp_bias);
    w.blocks.push_back(std::move(block));
  }
  w.final_norm = builder.norm("model.norm", false);
  w.rotary = tensor::rotary_table(
      c.max_positions,
      c.head_dim,
      c.rope_theta,
      tensor::scalar_type(tensor::sum_type(w.compute)));
}

at::Tensor Transformer::hidden(const Pass& pass, bool checkpointing) const {
  at::Tensor x = pass.embed();
  for (size_t i = 0; i < weights_->blocks.size(); ++i) {
    x = pass.block(i, x, checkpointing);
  }
  return x;
}

at::Tensor Transformer::logits(const TokenBatch& batch) const {
  at::NoGradGuard no_grad;
  Pass pass(weights_, batch, {});
  return pass.logits(hidden(pass, /*checkpointing=*/false));
}

at::Tensor Transformer::loss_sum(
    const TokenBatch& batch,
    const tensor::DropoutKey& dropout,
    bool checkpointing) const {
  Pass pass(weights_, batch, dropout);
  return pass.loss_sum(hidden(pass, checkpointing));
}

std::vector<at::Tensor> Transformer::parameters() const {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : parameters_) {
    tensors.push_back(tensor);
  }
  if (config().tied_head) {
    tensors.push_back(weights_->token_embedding);
  }
  return tensors;
}

int64_t Transformer::num_parameters() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : parameters_) {
    count += tensor.numel();
  }
  return count;
}

TensorMap Transformer::state() const {
  return {parameters_.begin(), parameters_.end()};
}

} // namespace accrue
