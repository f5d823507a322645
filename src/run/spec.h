// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/models/transformer.h"
#include "run/model_source.h"
#include "run/options.h"
#include "text/mixture.h"

namespace accrue {

/// Settings of a run with every open choice decided.
struct RunSpec {
  TrainOptions options;
  ModelSource source; // of the model
  std::vector<DataPart> parts; // of the training data
  int64_t global_batch = 0; // samples of a full window
};

/// Checks the settings and reads the model's config, which is small, so that
/// all problems come in one message. Throws ConfigError with those and the
/// `known` ones, DataError for a damaged model folder.
RunSpec resolve(
    const TrainOptions& options,
    bool needs_out,
    const Problems& known = {});

/// Adapters that a run trains: new ones on `tokens`, or those of its source.
std::optional<LoraOptions> lora_options(
    const RunSpec& spec,
    const std::vector<int64_t>& tokens);

} // namespace accrue
