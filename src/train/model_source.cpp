#include "train/model_source.h"

#include <fmt/format.h>

#include "accrue/core/error.h"
#include "io/files.h"
#include "models/checkpoint.h"

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

/// As it is, or beside the adapter.
fs::path find_base(const fs::path& adapter, const std::string& name) {
  for (const fs::path& path : {fs::path(name), adapter / name}) {
    if (!name.empty() && fs::exists(path / "config.json")) {
      return path;
    }
  }
  throw DataError(fmt::format(
      "[model] the adapter {} was made for \"{}\", which is no model folder "
      "here. Set \"base_model_name_or_path\" in its adapter_config.json to the "
      "folder of that model.",
      adapter.string(),
      name));
}

} // namespace

bool ModelSource::has_weights() const {
  return fs::is_directory(base) && accrue::has_weights(base);
}

ModelSource find_model(const std::string& model) {
  ModelSource source;
  source.base = model;
  if (has_adapter(model)) {
    AdapterConfig adapter = read_adapter_config(model);
    source.adapter = model;
    source.lora = adapter.lora;
    source.base = find_base(model, adapter.base);
  }
  source.config = read_model_config(source.base);
  return source;
}

Vocabulary open_vocabulary(const ModelSource& source) {
  Vocabulary vocabulary =
      Vocabulary::open(source.base, source.config.eos_token);
  if (source.config.vocab_size < vocabulary.size()) {
    throw DataError(fmt::format(
        "[model] {} has a vocabulary of {}, {} {}. Give a model that was made "
        "for it.",
        source.base.string(),
        source.config.vocab_size,
        vocabulary.is_bytes() ? "bytes need" : "its tokenizer has",
        vocabulary.size()));
  }
  return vocabulary;
}

Transformer open_model(
    const ModelSource& source,
    Dtype dtype,
    uint64_t seed,
    const std::optional<LoraOptions>& lora) {
  const bool loads = source.has_weights();
  ModelOptions options{
      .dtype = dtype,
      .seed = seed,
      .uninitialized = loads,
      .lora = source.lora ? source.lora : lora};
  options.bf16_base = options.lora && loads && dtype != Dtype::kFp64 &&
      is_bf16_checkpoint(source.base);
  Transformer model(source.config, options);
  if (loads) {
    load_checkpoint(source.base, model);
  }
  if (source.adapter) {
    load_adapter(*source.adapter, model);
  }
  return model;
}

void copy_tokenizer(const fs::path& base, const fs::path& folder) {
  for (const char* name : kTokenizerFiles) {
    if (fs::is_directory(base) && fs::exists(base / name)) {
      io::write_file(folder / name, io::read_file(base / name));
    }
  }
}

} // namespace accrue
