// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "run/spec.h"
#include "text/dataset.h"
#include "text/order.h"

namespace accrue {

/// Chat template that the data is written with.
struct ChatUse {
  std::string description; // of the template
  std::string sample; // the first, as show() writes it
  std::vector<uint32_t> stop_tokens; // end an answer
};

/// Samples of a run, their order, and facts about them for messages.
struct TrainingData {
  std::optional<ConcatDataset> train; // always there once loaded
  std::optional<ConcatDataset> valid;
  std::optional<SampleOrder> order; // of train
  int64_t total_samples = 0; // of the whole run
  int64_t total_steps = 0;
  CorpusCounts counts;
  LeftOut left_out; // files of the folders named that are not read
  std::optional<ChatUse> chat; // if there are conversations
  std::vector<int64_t> trained_tokens; // --train-embeddings
  uint64_t tokens_without_row = 0; // of those added to the tokenizer

  /// Sample at a position of the order.
  Sample sample_at(int64_t position) const;
  uint64_t index_at(int64_t position) const {
    return order->at(static_cast<uint64_t>(position));
  }
};

/// Opens the files that the settings name, as pairs of answers or not. Sets the
/// date of `spec` if a chat template asks for one, so that a run resumed
/// tomorrow has the same data. Throws DataError and ConfigError.
TrainingData load_data(RunSpec& spec, bool pairs, const ProgressCallback& tick);

/// Lines of the summary: parts of a mixture, rows of --train-embeddings.
std::vector<std::string> describe_data(
    const RunSpec& spec,
    const TrainingData& data);

} // namespace accrue
