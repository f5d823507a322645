// SPDX-License-Identifier: Apache-2.0
#include "accrue/models/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "models/config_fields.h"

namespace accrue {
namespace {

Activation activation(
    Fields& fields,
    const char* name,
    const char* fallback,
    Problems& problems) {
  auto value = fields.get<std::string>(name, fallback);
  if (value == "gelu_new" || value == "gelu_pytorch_tanh") {
    return Activation::kGeluTanh;
  }
  if (value == "gelu") {
    return Activation::kGelu;
  }
  if (value == "silu" || value == "swish") {
    return Activation::kSilu;
  }
  problems.add(fmt::format(
      "\"{}\": \"{}\" is not supported (gelu_new, gelu_pytorch_tanh, gelu, "
      "silu, swish)",
      name,
      value));
  return Activation::kGeluTanh;
}

ModelConfig read_gpt2(Fields& fields, Problems& problems) {
  ModelConfig config;
  config.family = Family::kGpt2;
  config.vocab_size = fields.required_size("vocab_size");
  config.max_positions = fields.required_size("n_positions");
  config.width = fields.required_size("n_embd");
  config.num_layers = fields.required_size("n_layer");
  config.num_heads = fields.required_size("n_head");
  config.num_kv_heads = config.num_heads;
  config.head_dim = config.num_heads > 0 ? config.width / config.num_heads : 0;
  config.mlp_width = fields.get<int64_t>("n_inner", 4 * config.width);
  config.activation =
      activation(fields, "activation_function", "gelu_new", problems);
  config.norm_epsilon = fields.get("layer_norm_epsilon", 1e-5);
  config.init_std = fields.get("initializer_range", 0.02);
  config.tied_head = fields.get("tie_word_embeddings", true);
  fields.only("scale_attn_weights", true);
  fields.only("scale_attn_by_inverse_layer_idx", false);
  // Upcasting changes nothing here: softmax is never below fp32.
  fields.get("reorder_and_upcast_attn", false);
  fields.only("add_cross_attention", false);
  fields.only("is_encoder_decoder", false);
  if (config.num_heads > 0 && config.width % config.num_heads != 0) {
    problems.add(fmt::format(
        "\"n_embd\" ({}) must be a multiple of \"n_head\" ({})",
        config.width,
        config.num_heads));
  }
  return config;
}

void read_rope_object(
    const io::Json& json,
    Problems& problems,
    ModelConfig& config) {
  Fields rope(json, problems);
  auto type = rope.get<std::string>("type", "default"); // before 4.43
  type = rope.get<std::string>("rope_type", type.c_str());
  config.rope_theta = rope.get("rope_theta", config.rope_theta);
  if (type == "linear" || type == "llama3") {
    config.rope_scaling =
        type == "linear" ? RopeScaling::kLinear : RopeScaling::kLlama3;
    config.rope_factor = rope.required_number("factor");
  } else if (type != "default") {
    problems.add(fmt::format(
        "\"rope_type\": \"{}\" is not supported (default, linear, llama3)",
        type));
  }
  if (type == "llama3") {
    config.rope_low_freq_factor = rope.required_number("low_freq_factor");
    config.rope_high_freq_factor = rope.required_number("high_freq_factor");
    config.rope_original_positions =
        rope.required_number("original_max_position_embeddings");
  }
  rope.reject_unknown();
}

/// Adds a problem for every rotary setting whose two spellings disagree.
void compare_ropes(
    const ModelConfig& older,
    const ModelConfig& newer,
    bool older_scales,
    Problems& problems) {
  auto compare = [&](const char* name, const auto& a, const auto& b) {
    if (a != b) {
      problems.add(fmt::format(
          "\"{}\" is {} by \"rope_theta\" and \"rope_scaling\", {} by "
          "\"rope_parameters\"; remove the one or the other",
          name,
          a,
          b));
    }
  };
  compare("rope_theta", older.rope_theta, newer.rope_theta);
  if (older_scales) {
    constexpr std::array kTypes{"default", "linear", "llama3"};
    auto type = [&](const ModelConfig& config) {
      return std::string(kTypes[static_cast<size_t>(config.rope_scaling)]);
    };
    compare("rope_type", type(older), type(newer));
    compare("factor", older.rope_factor, newer.rope_factor);
    compare(
        "low_freq_factor",
        older.rope_low_freq_factor,
        newer.rope_low_freq_factor);
    compare(
        "high_freq_factor",
        older.rope_high_freq_factor,
        newer.rope_high_freq_factor);
    compare(
        "original_max_position_embeddings",
        older.rope_original_positions,
        newer.rope_original_positions);
  }
}

/// Reads rotary settings. transformers 5 writes "rope_parameters", earlier
/// versions "rope_theta" and "rope_scaling"; if a config has both, the version
/// of transformers decides which it reads.
void read_rope(
    const io::Json& json,
    Fields& fields,
    Problems& problems,
    ModelConfig& config) {
  auto object = [&](const char* name) -> const io::Json* {
    fields.mark_used(name);
    auto it = json.find(name);
    if (it == json.end() || !it->is_object()) {
      fields.only(name, nullptr);
      return nullptr;
    }
    return it->empty() ? nullptr : &*it;
  };
  const io::Json* scaling = object("rope_scaling");
  const io::Json* parameters = object("rope_parameters");
  config.rope_theta = fields.get("rope_theta", 10000.0);
  ModelConfig older = config;
  if (scaling != nullptr) {
    read_rope_object(*scaling, problems, older);
  }
  if (parameters == nullptr) {
    config = older;
    return;
  }
  read_rope_object(*parameters, problems, config);
  if (scaling != nullptr || !json.value("rope_theta", io::Json()).is_null()) {
    compare_ropes(older, config, scaling != nullptr, problems);
  }
}

/// Defaults of a family for fields that its config.json omits, and traits that
/// the family fixes.
struct LlamaKind {
  const char* model_type;
  int64_t num_kv_heads = 0; // 0: as many as heads
  int64_t head_dim = 0; // 0: width / heads
  bool has_bias_switches = false; // "attention_bias" for all four
  bool qkv_bias = false;
  bool head_norm = false;
};

constexpr std::array<LlamaKind, 4> kLlamaKinds{{
    {"llama", 0, 0, true, false, false},
    {"mistral", 8, 0, false, false, false},
    {"qwen2", 32, 0, false, true, false},
    {"qwen3", 32, 128, true, false, true},
}};

constexpr int64_t kSlidingWindow = 4096; // where a config does not say

/// Limits positions to "sliding_window": attention over the last so many tokens
/// is full attention as long as samples are not longer.
void read_sliding_window(
    const io::Json& json,
    const LlamaKind& kind,
    Fields& fields,
    Problems& problems,
    ModelConfig& config) {
  const bool qwen = std::string_view(kind.model_type).starts_with("qwen");
  const bool used = qwen ? fields.get("use_sliding_window", false) : true;
  fields.mark_used("max_window_layers");
  fields.mark_used("layer_types");
  auto window = json.find("sliding_window");
  const bool unlimited = window != json.end() && window->is_null();
  auto tokens = fields.get<int64_t>("sliding_window", kSlidingWindow);
  if (used && !unlimited) {
    config.max_positions = std::min(config.max_positions, tokens);
  }
  auto types = json.find("layer_types");
  if (types == json.end() || types->is_null()) {
    return;
  }
  for (const io::Json& type : *types) {
    if (type != "full_attention" && type != "sliding_attention") {
      problems.add(fmt::format(
          "\"layer_types\": {} is not supported (full_attention, "
          "sliding_attention)",
          type.dump()));
    }
  }
}

ModelConfig read_llama(
    const io::Json& json,
    const LlamaKind& kind,
    Fields& fields,
    Problems& problems) {
  ModelConfig config;
  config.family = Family::kLlama;
  config.vocab_size = fields.required_size("vocab_size");
  config.width = fields.required_size("hidden_size");
  config.mlp_width = fields.required_size("intermediate_size");
  config.num_layers = fields.required_size("num_hidden_layers");
  config.num_heads = fields.required_size("num_attention_heads");
  config.max_positions = fields.required_size("max_position_embeddings");
  config.num_kv_heads = fields.get<int64_t>(
      "num_key_value_heads",
      kind.num_kv_heads > 0 ? kind.num_kv_heads : config.num_heads);
  int64_t even_share =
      config.num_heads > 0 ? config.width / config.num_heads : 0;
  config.head_dim = fields.get<int64_t>(
      "head_dim", kind.head_dim > 0 ? kind.head_dim : even_share);
  config.activation = activation(fields, "hidden_act", "silu", problems);
  config.norm_epsilon = fields.get("rms_norm_eps", 1e-6);
  config.init_std = fields.get("initializer_range", 0.02);
  config.tied_head = fields.get("tie_word_embeddings", false);
  config.qkv_bias = kind.qkv_bias;
  config.attention_out_bias = false;
  config.mlp_bias = false;
  if (kind.has_bias_switches) {
    config.qkv_bias = fields.get("attention_bias", false);
    config.attention_out_bias = config.qkv_bias;
  }
  if (kind.model_type == std::string_view("llama")) {
    config.mlp_bias = fields.get("mlp_bias", false);
  } else {
    read_sliding_window(json, kind, fields, problems, config);
  }
  config.head_norm = kind.head_norm;
  read_rope(json, fields, problems, config);
  fields.only("is_encoder_decoder", false);
  fields.only("rope_interleaved", false);
  fields.only("use_mrope", false);
  if (config.num_kv_heads > 0 && config.num_heads % config.num_kv_heads != 0) {
    problems.add(fmt::format(
        "\"num_attention_heads\" ({}) must be a multiple of "
        "\"num_key_value_heads\" ({})",
        config.num_heads,
        config.num_kv_heads));
  }
  const bool known = config.width > 0 && config.num_heads > 0;
  if ((known && config.head_dim < 1) || config.head_dim % 2 != 0) {
    problems.add(fmt::format(
        "\"head_dim\" must be even and positive, got {}", config.head_dim));
  }
  return config;
}

/// End-of-text token: an id, or the first of a list of ids; -1 if absent.
int64_t read_eos(const io::Json& json) {
  auto eos = json.find("eos_token_id");
  if (eos == json.end()) {
    return -1;
  }
  const io::Json& first = eos->is_array() && !eos->empty() ? (*eos)[0] : *eos;
  return first.is_number_unsigned() ? first.get<int64_t>() : -1;
}

} // namespace

int64_t ModelConfig::num_parameters() const {
  const bool gpt2 = family == Family::kGpt2;
  const int64_t q = num_heads * head_dim;
  const int64_t kv = num_kv_heads * head_dim;
  const int64_t mlp_in = gpt2 ? 1 : 2; // gate and up
  int64_t block = width * (q + 2 * kv) + q * width +
      (mlp_in + 1) * width * mlp_width + 2 * width;
  block += qkv_bias ? q + 2 * kv : 0;
  block += attention_out_bias ? width : 0;
  block += head_norm ? 2 * head_dim : 0;
  block += mlp_bias ? mlp_in * mlp_width + width : 0;
  block += gpt2 ? 2 * width : 0; // biases of the norms
  return num_layers * block + (gpt2 ? 2 : 1) * width +
      (tied_head ? 1 : 2) * vocab_size * width +
      (gpt2 ? max_positions * width : 0);
}

ModelConfig read_model_config(const std::filesystem::path& path) {
  auto file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  io::Json json = io::read_json(file);
  Problems problems;
  ModelConfig config;
  if (!json.is_object()) {
    problems.add(fmt::format("must be an object, got {}", io::type_name(json)));
  } else {
    Fields fields(json, problems);
    auto type = fields.get<std::string>("model_type", "");
    if (type == "gpt2") {
      config = read_gpt2(fields, problems);
      fields.reject_unknown();
    } else if (auto kind = std::find_if(
                   kLlamaKinds.begin(),
                   kLlamaKinds.end(),
                   [&](const LlamaKind& k) { return type == k.model_type; });
               kind != kLlamaKinds.end()) {
      config = read_llama(json, *kind, fields, problems);
      fields.reject_unknown();
    } else {
      problems.add(fmt::format(
          "\"model_type\" must be gpt2, llama, mistral, qwen2 or qwen3, got "
          "\"{}\"",
          type));
    }
    config.eos_token = read_eos(json);
  }
  problems.throw_if_any<DataError>("model config " + file.string());
  config.json = io::read_file(file);
  return config;
}

} // namespace accrue
