#include "accrue/models/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "accrue/core/error.h"
#include "accrue/core/random.h"

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
        dtype_(model.dtype_ == Dtype::kFp64 ? at::kDouble : at::kFloat) {}

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

  Linear linear(
      const std::string& name,
      int64_t in,
      int64_t out,
      bool bias,
      double std,
      tensor::WeightLayout layout = tensor::WeightLayout::kOutIn) {
    bool out_first = layout == tensor::WeightLayout::kOutIn;
    Linear linear;
    linear.layout = layout;
    linear.weight = normal(
        name + ".weight",
        out_first ? at::IntArrayRef{out, in} : at::IntArrayRef{in, out},
        std);
    if (bias) {
      linear.bias = constant(name + ".bias", out, 0);
    }
    return linear;
  }

  Norm norm(const std::string& name, bool bias) {
    const ModelConfig& config = model_.config_;
    Norm norm;
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

Transformer::Transformer(const ModelConfig& config, Dtype dtype, uint64_t seed)
    : config_(config), dtype_(dtype) {
  at::NoGradGuard no_grad;
  Builder builder(*this, seed);
  if (config.family == Family::kGpt2) {
    build_gpt2(builder);
  } else {
    build_llama(builder);
  }
  head_ = config.tied_head ? token_embedding_
                           : builder.normal(
                                 "lm_head.weight",
                                 {config.vocab_size, config.width},
                                 config.init_std);
}

/// GPT-2: normal(0, std) for every matrix, std/√(2·layers) for those that write
/// to the residual stream (Radford et al. 2019), biases 0.
void Transformer::build_gpt2(Builder& builder) {
  const ModelConfig& c = config_;
  const double std = c.init_std;
  const double residual_std =
      std / std::sqrt(2.0 * static_cast<double>(c.num_layers));
  auto linear =
      [&](const std::string& name, int64_t in, int64_t out, double s) {
        return builder.linear(
            name, in, out, /*bias=*/true, s, tensor::WeightLayout::kInOut);
      };
  token_embedding_ =
      builder.normal("transformer.wte.weight", {c.vocab_size, c.width}, std);
  position_embedding_ =
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
    block.mlp_in = linear(name("mlp.c_fc"), c.width, c.mlp_width, std);
    block.mlp_out =
        linear(name("mlp.c_proj"), c.mlp_width, c.width, residual_std);
    blocks_.push_back(std::move(block));
  }
  final_norm_ = builder.norm("transformer.ln_f", true);
}

/// Llama: normal(0, std) for every matrix.
void Transformer::build_llama(Builder& builder) {
  const ModelConfig& c = config_;
  const int64_t q_width = c.num_heads * c.head_dim;
  const int64_t kv_width = c.num_kv_heads * c.head_dim;
  token_embedding_ = builder.normal(
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
    block.mlp_gate = linear("mlp.gate_proj", c.width, c.mlp_width, c.mlp_bias);
    block.mlp_in = linear("mlp.up_proj", c.width, c.mlp_width, c.mlp_bias);
    block.mlp_out = linear("mlp.down_proj", c.mlp_width, c.width, c.mlp_bias);
    blocks_.push_back(std::move(block));
  }
  final_norm_ = builder.norm("model.norm", false);
  rotary_ = tensor::rotary_table(
      c.max_positions,
      c.head_dim,
      c.rope_theta,
      dtype_ == Dtype::kFp64 ? at::kDouble : at::kFloat);
}

at::Tensor Transformer::Linear::operator()(const at::Tensor& x) const {
  return tensor::linear(x, weight, bias, layout);
}

/// The residual stream is fp32 (fp64) throughout; what enters a matrix is
/// converted here.
at::Tensor Transformer::normed(const Norm& norm, const at::Tensor& x) const {
  at::Tensor y = norm.bias.defined()
      ? tensor::layer_norm(x, norm.weight, norm.bias, norm.epsilon)
      : tensor::rms_norm(x, norm.weight, norm.epsilon);
  return dtype_ == Dtype::kBf16 ? y.to(at::kBFloat16) : y;
}

at::Tensor Transformer::hidden(
    const TokenBatch& batch,
    const tensor::DropoutKey& dropout) const {
  uint64_t site = 0;
  auto drop = [&](const at::Tensor& x) {
    return tensor::dropout(x, batch.offsets, batch.sample_ids, site++, dropout);
  };
  at::Tensor x = at::embedding(token_embedding_, batch.tokens); // [T, C]
  if (position_embedding_.defined()) {
    x = x + at::embedding(position_embedding_, batch.positions);
  }
  x = drop(x);
  for (const Block& block : blocks_) {
    x = x + drop(attend(block, normed(block.attention_norm, x), batch));
    x = x + drop(mlp(block, normed(block.mlp_norm, x)));
  }
  return normed(final_norm_, x);
}

at::Tensor Transformer::attend(
    const Block& block,
    const at::Tensor& x,
    const TokenBatch& batch) const {
  std::vector<at::Tensor> qkv;
  if (block.qkv.size() == 1) {
    qkv = block.qkv[0](x).chunk(3, -1);
  } else {
    for (const Linear& linear : block.qkv) {
      qkv.push_back(linear(x));
    }
  }
  for (at::Tensor& part : qkv) {
    part = part.unflatten(-1, {-1, config_.head_dim}); // [T, heads, D]
  }
  if (rotary_.cos.defined()) {
    qkv[0] = tensor::rotate(qkv[0], batch.positions, rotary_);
    qkv[1] = tensor::rotate(qkv[1], batch.positions, rotary_);
  }
  at::Tensor mixed = tensor::attention(qkv[0], qkv[1], qkv[2], batch.offsets);
  return block.attention_out(mixed.flatten(1)); // [T, C]
}

at::Tensor Transformer::mlp(const Block& block, const at::Tensor& x) const {
  auto activate = [&](const at::Tensor& y) {
    switch (config_.activation) {
      case Activation::kSilu:
        return at::silu(y);
      case Activation::kGelu:
        return at::gelu(y);
      default:
        return at::gelu(y, "tanh");
    }
  };
  if (block.mlp_gate.weight.defined()) {
    return block.mlp_out(activate(block.mlp_gate(x)) * block.mlp_in(x));
  }
  return block.mlp_out(activate(block.mlp_in(x)));
}

at::Tensor Transformer::logits(const TokenBatch& batch) const {
  return tensor::linear(hidden(batch, {}), head_, /*bias=*/at::Tensor());
}

at::Tensor Transformer::loss_sum(
    const TokenBatch& batch,
    const tensor::DropoutKey& dropout) const {
  return tensor::cross_entropy_sum(
      hidden(batch, dropout), head_, batch.targets, batch.weights);
}

std::vector<at::Tensor> Transformer::parameters() const {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : parameters_) {
    tensors.push_back(tensor);
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

void Transformer::load_state(const TensorMap& state) {
  at::NoGradGuard no_grad;
  Problems problems;
  TensorMap own = this->state();
  for (auto& [name, tensor] : own) {
    auto it = state.find(name);
    if (it == state.end()) {
      problems.add(fmt::format("tensor \"{}\" is missing", name));
    } else if (it->second.sizes() != tensor.sizes()) {
      problems.add(fmt::format(
          "tensor \"{}\" must have the shape [{}], got [{}]",
          name,
          fmt::join(tensor.sizes(), ", "),
          fmt::join(it->second.sizes(), ", ")));
    }
  }
  for (const auto& [name, tensor] : state) {
    if (!own.contains(name)) {
      problems.add(fmt::format("tensor \"{}\" is not part of the model", name));
    }
  }
  problems.throw_if_any<DataError>("model weights");
  for (auto& [name, tensor] : own) {
    tensor.copy_(state.at(name));
  }
}

} // namespace accrue
