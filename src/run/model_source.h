// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "text/vocabulary.h"

namespace accrue {

/// Model that --model names: a config.json, a model folder, or an adapter
/// folder with the base that it names.
struct ModelSource {
  std::filesystem::path base; // folder or config.json
  /// Folder of the base's files.
  std::filesystem::path folder() const;
  /// Adapter folder in PEFT's format; nullopt: a model was named.
  std::optional<std::filesystem::path> adapter;
  std::optional<LoraOptions> lora; // the adapter's
  ModelConfig config;
  /// Warnings about how the folder is read.
  std::vector<std::string> warnings;

  /// True if the base has weights to start from.
  bool has_weights() const;
};

/// Reads configs and the names and dtypes of weights. Throws DataError, also if
/// the folder holds weights in a format that is not read, because starting from
/// fresh weights instead would be a surprise.
ModelSource find_model(const std::string& model);

/// Opens the vocabulary and limits it to the model's embeddings. Throws
/// DataError if a vocabulary of bytes has bytes without an embedding.
Vocabulary open_vocabulary(const ModelSource& source);

/// Makes the model with the base's weights, or fresh ones from the seed, and
/// loads the adapter. The options' adapters are for new ones; the adapter
/// folder's own win. Whether weights are loaded and in which type they are kept
/// follows from the source.
Transformer open_model(const ModelSource& source, ModelOptions options);

/// Bytes per frozen parameter.
uint64_t frozen_width(const ModelSource& source, Dtype dtype);

/// The folder's own end tokens: "eos_token_id" of generation_config.json, if
/// there is any. Throws DataError for a file that is not JSON or names no
/// token.
std::vector<int64_t> read_stop_tokens(const std::filesystem::path& folder);

/// Copies tokenizer files beside a model that was made from `base`.
void copy_tokenizer(
    const ModelSource& source,
    const std::filesystem::path& folder);

} // namespace accrue
