// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "text/vocabulary.h"

namespace accrue {

/// What --model names: a config.json, a model folder, or an adapter folder that
/// names its base.
struct ModelSource {
  std::filesystem::path base; // folder or config.json
  /// Where the base's files are.
  std::filesystem::path folder() const;
  /// PEFT's, if that is what was named.
  std::optional<std::filesystem::path> adapter;
  std::optional<LoraOptions> lora; // the adapter's
  ModelConfig config;
  /// What people should know of how it is read.
  std::vector<std::string> warnings;

  /// The base has weights to start from.
  bool has_weights() const;
};

/// Reads configs, and of weights what decides how they are read. Throws
/// DataError, also if the folder holds weights in a form that is not read:
/// fresh ones instead would surprise.
ModelSource find_model(const std::string& model);

/// Knows how many embeddings the model has. Throws DataError if it has none for
/// some bytes.
Vocabulary open_vocabulary(const ModelSource& source);

/// Makes the model and loads what there is: weights, or fresh ones from
/// `seed`, and the adapter. `lora` is for new adapters; an adapter's own wins.
Transformer open_model(
    const ModelSource& source,
    Dtype dtype,
    uint64_t seed,
    const std::optional<LoraOptions>& lora = std::nullopt);

/// Bytes that a weight which is not trained takes.
uint64_t frozen_width(const ModelSource& source, Dtype dtype);

/// The folder's own end tokens: "eos_token_id" of generation_config.json, if
/// there is any. Throws DataError naming what is no JSON or no token.
std::vector<int64_t> read_stop_tokens(const std::filesystem::path& folder);

/// Copies tokenizer files beside a model that was made from `base`.
void copy_tokenizer(
    const ModelSource& source,
    const std::filesystem::path& folder);

} // namespace accrue
