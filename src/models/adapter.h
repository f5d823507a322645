// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "accrue/models/transformer.h"

// LoRA adapters in folders as PEFT writes and reads them.

namespace accrue {

/// True if `folder` has an adapter_config.json.
bool has_adapter(const std::filesystem::path& folder);

/// Writes adapter_config.json and adapter_model.safetensors, in `dtype` if
/// given.
void save_adapter(
    const std::filesystem::path& folder,
    const Transformer& model,
    const std::string& base,
    std::optional<at::ScalarType> dtype = std::nullopt);

/// Settings of an adapter folder. read_adapter_config() throws DataError naming
/// every field that asks for something accrue can't do (other kinds than LoRA,
/// biases, DoRA, …).
struct AdapterConfig {
  LoraOptions lora;
  std::string base; // model folder or name; may be empty
};
AdapterConfig read_adapter_config(const std::filesystem::path& folder);

/// Throws DataError naming every tensor that is missing or not expected.
void load_adapter(
    const std::filesystem::path& folder,
    const Transformer& model);

} // namespace accrue
