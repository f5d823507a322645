// SPDX-License-Identifier: Apache-2.0
#include "run/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "models/adapter.h"
#include "models/hf_folder.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
};

/// Finds the base by its name as a path, or beside the adapter.
fs::path find_base(const fs::path& adapter, const std::string& name) {
  for (const fs::path& path : {fs::path(name), adapter / name}) {
    if (!name.empty() && fs::exists(path / "config.json")) {
      return path;
    }
  }
  throw DataError(fmt::format(
      "[model] the adapter {} was made for \"{}\", which is no model folder "
      "here. Set \"base_model_name_or_path\" in its adapter_config.json to the "
      "folder of that model, which may be given from the adapter's own; a "
      "model of the hub comes with: hf download {} --local-dir DIR",
      adapter.string(),
      name,
      name));
}

/// Throws DataError for weights in files that accrue does not read.
void check_no_other_weights(const fs::path& folder) {
  static const std::set<std::string> kWeights{
      ".safetensors", ".bin", ".pt", ".pth", ".gguf"};
  for (const auto& entry : fs::directory_iterator(folder)) {
    fs::path path = entry.path();
    if (kWeights.contains(path.extension().string()) &&
        path.filename() != "training_args.bin") {
      throw DataError(fmt::format(
          "[model] {} is no file that accrue takes weights from, and {} has no "
          "model.safetensors or model.safetensors.index.json. Complete the "
          "folder, or name its config.json to start from fresh weights.",
          path.string(),
          folder.string()));
    }
  }
}

/// True if the frozen base of an adapter stays in bf16, as it was saved.
bool keeps_bf16(const ModelSource& source, Dtype dtype) {
  return source.has_weights() && dtype != Dtype::kFp64 &&
      is_bf16_checkpoint(source.base);
}

} // namespace

fs::path ModelSource::folder() const {
  return fs::is_directory(base) ? base : base.parent_path();
}

bool ModelSource::has_weights() const {
  return fs::is_directory(base) && accrue::has_weights(base);
}

ModelSource find_model(const std::string& model) {
  if (!fs::exists(model)) {
    throw DataError(fmt::format(
        "[model] {} does not exist. Check --model: a folder of this machine, "
        "or a config.json.",
        model));
  }
  ModelSource source;
  source.base = model;
  if (has_adapter(model)) {
    AdapterConfig adapter = read_adapter_config(model);
    source.adapter = model;
    source.lora = adapter.lora;
    source.base = find_base(model, adapter.base);
  }
  source.config = read_model_config(source.base);
  if (source.has_weights()) {
    source.warnings = fit_to_weights(source.base, source.config);
  } else if (fs::is_directory(source.base)) {
    check_no_other_weights(source.base);
  }
  return source;
}

Vocabulary open_vocabulary(const ModelSource& source) {
  Vocabulary vocabulary =
      Vocabulary::open(source.folder(), source.config.eos_token);
  if (vocabulary.is_bytes() && source.config.vocab_size < vocabulary.size()) {
    throw DataError(fmt::format(
        "[model] {} has a vocabulary of {}, bytes need {}. Give a model that "
        "was made for bytes, or put its tokenizer.json beside it.",
        source.base.string(),
        source.config.vocab_size,
        vocabulary.size()));
  }
  // A tokenizer may have more tokens than embeddings, if they are not used.
  vocabulary.set_embedding(
      static_cast<uint32_t>(
          std::min<int64_t>(source.config.vocab_size, vocabulary.size())),
      source.folder());
  return vocabulary;
}

Transformer open_model(const ModelSource& source, ModelOptions options) {
  const bool loads = source.has_weights();
  options.uninitialized = loads;
  options.lora = source.lora ? source.lora : options.lora;
  options.bf16_base = options.lora && keeps_bf16(source, options.dtype);
  Transformer model(source.config, options);
  if (loads) {
    load_checkpoint(source.base, model);
    model.load_base_rows();
  }
  if (source.adapter) {
    load_adapter(*source.adapter, model);
  }
  return model;
}

uint64_t frozen_width(const ModelSource& source, Dtype dtype) {
  return keeps_bf16(source, dtype) ? 2 : dtype == Dtype::kFp64 ? 8 : 4;
}

std::vector<int64_t> read_stop_tokens(const fs::path& folder) {
  const fs::path path = folder / "generation_config.json";
  std::vector<int64_t> ids;
  if (!fs::exists(path)) {
    return ids;
  }
  const io::Json json = io::read_json(path);
  const io::Node node(json, path.string());
  if (auto end = node.find("eos_token_id")) {
    if (!end->json().is_array()) {
      return {end->integer()};
    }
    for (const io::Node& id : end->elements()) {
      ids.push_back(id.integer());
    }
  }
  return ids;
}

void copy_tokenizer(const ModelSource& source, const fs::path& folder) {
  for (const char* name : kTokenizerFiles) {
    if (fs::path file = source.folder() / name; fs::exists(file)) {
      io::write_file(folder / name, io::read_file(file));
    }
  }
}

} // namespace accrue
