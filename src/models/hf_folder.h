// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"

// Folders as transformers' save_pretrained writes and reads them.

namespace accrue {

/// True if `folder` holds weights, not only a config.
bool has_weights(const std::filesystem::path& folder);

/// True if every matrix of the folder's weights is in bf16.
bool is_bf16_checkpoint(const std::filesystem::path& folder);

/// Gives `config` a head of its own if the folder's weights hold one that
/// differs from the embedding it is tied to, as transformers 5 does. Returns
/// warnings about how the folder is read.
std::vector<std::string> fit_to_weights(
    const std::filesystem::path& folder,
    ModelConfig& config);

/// Digest of all files that hold a folder's weights.
std::string digest_checkpoint(const std::filesystem::path& folder);

/// Copies model.safetensors or, where there is none, the files of
/// model.safetensors.index.json into the model's weights, a few MiB at a time.
/// Names without "transformer." and buffers that old versions wrote are
/// accepted. Throws DataError naming every tensor that is missing, not
/// expected or of another shape; nothing has changed then.
void load_checkpoint(
    const std::filesystem::path& folder,
    const Transformer& model);

/// Writes config.json and model.safetensors, in `dtype` if given. The config is
/// the one that the model was made from, with the dtype of the file.
void save_checkpoint(
    const std::filesystem::path& folder,
    const Transformer& model,
    std::optional<at::ScalarType> dtype = std::nullopt);

} // namespace accrue
