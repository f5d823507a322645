// SPDX-License-Identifier: Apache-2.0
#include "models/adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/safetensors_file.h"
#include "models/pass.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kAdapterWeights = "adapter_model.safetensors";
constexpr std::string_view kPeftPrefix = "base_model.model.";

/// Fields that are read, or that change nothing once an adapter is made: its
/// origin, its initialization, its training.
const std::set<std::string> kAdapterFields{
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "eva_config",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "trainable_token_indices",
};

bool is_off(const io::Json& value) {
  return value.is_null() || value == false ||
      (value.is_structured() && value.empty());
}

[[noreturn]] void refuse(const fs::path& folder, const std::string& what) {
  throw DataError(fmt::format(
      "[adapter] {} {}. accrue reads LoRA's two matrices per layer; merge "
      "anything else into its base with PEFT and give that folder: python -c "
      "\"from peft import AutoPeftModelForCausalLM as M; "
      "M.from_pretrained('{}').merge_and_unload()"
      ".save_pretrained('{}-merged')\"",
      folder.string(),
      what,
      folder.string(),
      folder.string()));
}

/// Throws for everything that would change what the adapter does.
void check_kind(const fs::path& folder, const io::Node& node) {
  std::vector<std::string> problems;
  auto want = [&](const char* key, bool good, const char* what) {
    if (!good) {
      problems.push_back(fmt::format(
          "\"{}\" must be {}, got {}", key, what, node.at(key).json().dump()));
    }
  };
  want("peft_type", node.at("peft_type").json() == "LORA", "LORA");
  want("bias", node.text("bias", "none") == "none", "none");
  // Some other initializations change the base's weights at loading.
  auto init = node.find("init_lora_weights");
  want(
      "init_lora_weights",
      !init || init->json().is_boolean() || init->json() == "gaussian" ||
          init->json() == "eva",
      "true, false, \"gaussian\" or \"eva\"");
  for (const auto& [key, value] : node.json().items()) {
    if (!kAdapterFields.contains(key) && !key.starts_with("unsloth_") &&
        !is_off(value)) {
      problems.push_back(
          fmt::format("\"{}\" is not supported ({})", key, value.dump()));
    }
  }
  if (!problems.empty()) {
    refuse(
        folder, fmt::format("has a config with {}", fmt::join(problems, "; ")));
  }
}

std::vector<std::string> read_targets(const io::Node& targets) {
  std::vector<std::string> names;
  if (targets.json().is_string()) {
    if (targets.text() != "all-linear") {
      targets.fail("must be a list of names or all-linear");
    }
    names.push_back(targets.text());
  } else {
    for (const io::Node& target : targets.elements()) {
      names.push_back(target.text());
    }
  }
  return names;
}

/// The last part of the embedding's name, which PEFT finds it by.
std::string embedding_table(Family family) {
  const std::string name = embedding_name(family);
  return name.substr(name.rfind('.') + 1);
}

std::vector<int64_t> read_ids(const io::Node& list) {
  std::vector<int64_t> ids;
  for (const io::Node& id : list.elements()) {
    ids.push_back(id.integer());
  }
  if (std::set<int64_t>(ids.begin(), ids.end()).size() != ids.size()) {
    list.fail("must name each token once");
  }
  return ids;
}

/// A list for the embedding, or lists by the names of tables.
void read_tokens(const io::Node& node, LoraOptions& lora) {
  if (!node.json().is_object()) {
    lora.tokens = read_ids(node);
    lora.tokens_in_head = false;
    return;
  }
  lora.tokens_in_head = node.find(kHeadName).has_value();
  for (const auto& [table, unused] : node.json().items()) {
    std::vector<int64_t> ids = read_ids(node.at(table));
    const bool first = lora.tokens.empty();
    if (table != kHeadName && table != embedding_table(Family::kGpt2) &&
        table != embedding_table(Family::kLlama)) {
      node.at(table).fail("is of a layer that accrue does not train rows of");
    }
    if (!first && ids != lora.tokens) {
      node.fail("must have the same tokens for the embedding and the head");
    }
    lora.tokens = ids;
  }
  if (lora.tokens_in_head && node.json().size() == 1) {
    node.fail("must name the embedding, too");
  }
}

} // namespace

bool has_adapter(const fs::path& folder) {
  return fs::exists(folder / kAdapterConfig);
}

void save_adapter(
    const fs::path& folder,
    const Transformer& model,
    const std::string& base,
    std::optional<at::ScalarType> dtype) {
  io::make_directory(folder);
  const LoraOptions& lora = *model.lora();
  io::OrderedJson json;
  json["peft_type"] = "LORA";
  json["task_type"] = "CAUSAL_LM";
  json["base_model_name_or_path"] = base;
  json["r"] = lora.rank;
  json["lora_alpha"] = lora.alpha;
  json["lora_dropout"] = 0.0;
  std::set<std::string> targets(lora.targets.begin(), lora.targets.end());
  // Spelled out: PEFT's "all-linear" is not the same for every model.
  const bool all = targets.erase("all-linear") > 0;
  TensorMap tensors;
  for (const auto& [name, tensor] : model.adapters()) {
    const size_t end = name.rfind(".lora_");
    if (all && end != std::string::npos) {
      std::string layer = name.substr(0, end);
      targets.insert(layer.substr(layer.rfind('.') + 1));
    }
    tensors[std::string(kPeftPrefix) + name] = tensor;
  }
  json["target_modules"] = targets;
  if (!lora.tokens.empty()) {
    io::OrderedJson& tokens = json["trainable_token_indices"];
    if (model.config().tied_head || !lora.tokens_in_head) {
      tokens = lora.tokens;
    } else {
      tokens[embedding_table(model.config().family)] = lora.tokens;
      tokens[kHeadName] = lora.tokens;
    }
  }
  json["bias"] = "none";
  json["fan_in_fan_out"] = model.config().family == Family::kGpt2;
  json["inference_mode"] = true;
  io::write_file(folder / kAdapterConfig, json.dump(2) + "\n");
  save_safetensors(folder / kAdapterWeights, tensors, dtype);
  io::sync_directory(folder);
}

AdapterConfig read_adapter_config(const fs::path& folder) {
  io::Json json = io::read_json(folder / kAdapterConfig);
  io::Node node(json, (folder / kAdapterConfig).string());
  check_kind(folder, node);
  AdapterConfig config;
  config.base = node.text("base_model_name_or_path", "");
  config.lora.rank = node.at("r").integer();
  if (config.lora.rank < 1) {
    node.at("r").fail("must be >= 1");
  }
  io::Node alpha = node.at("lora_alpha");
  if (!alpha.json().is_number()) {
    alpha.fail("must be a number");
  }
  config.lora.alpha = alpha.json().get<double>();
  config.lora.targets = read_targets(node.at("target_modules"));
  if (auto tokens = node.find("trainable_token_indices")) {
    read_tokens(*tokens, config.lora);
  }
  return config;
}

void load_adapter(const fs::path& folder, const Transformer& model) {
  io::SafetensorsFile file(folder / kAdapterWeights);
  const TensorMap into = model.adapters();
  io::FileTensors named;
  std::vector<std::string> unknown;
  for (const auto& [name, entry] : file.entries()) {
    std::string own =
        name.starts_with(kPeftPrefix) ? name.substr(kPeftPrefix.size()) : name;
    named[own] = {&file, &entry};
    if (!into.contains(own)) {
      unknown.push_back(own);
    }
  }
  if (!unknown.empty()) {
    refuse(
        folder,
        fmt::format(
            "holds {} that its config does not speak of: {}",
            unknown.size() == 1 ? "a tensor" : "tensors",
            fmt::join(unknown, ", ")));
  }
  io::copy(named, into);
}

} // namespace accrue
