// SPDX-License-Identifier: Apache-2.0
#include "models/layer_of.h"

#include <charconv>

#include "models/model_weights.h"

namespace accrue {

int64_t layer_of(const ModelConfig& config, std::string_view parameter) {
  const std::string_view prefix = block_prefix(config.family);
  if (parameter.starts_with(prefix)) {
    parameter.remove_prefix(prefix.size());
    int64_t index = 0;
    std::from_chars(
        parameter.data(), parameter.data() + parameter.size(), index);
    return index + 1;
  }
  const bool embedding = parameter.starts_with(embedding_name(config.family)) ||
      parameter.starts_with("transformer.wpe.");
  return embedding ? 0 : config.num_layers + 1;
}

} // namespace accrue
