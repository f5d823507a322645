// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "accrue/models/config.h"

namespace accrue {

/// Start of the names of the parameters in blocks, before the block's number.
constexpr const char* block_prefix(Family family) {
  return family == Family::kGpt2 ? "transformer.h." : "model.layers.";
}

/// Returns the place of a parameter in a forward pass: 0 for embeddings, i + 1
/// for block i, num_layers + 1 for the final norm and the head.
int64_t layer_of(const ModelConfig& config, std::string_view parameter);

} // namespace accrue
