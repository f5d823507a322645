// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "run/model_source.h"

namespace accrue {

/// How far a run is: optimizer steps done, and samples of the window after
/// them.
struct Cursor {
  int64_t step = 0;
  int64_t samples_done = 0;
};

/// Digests of files and data that must be the same when a run is resumed.
struct RunInputs {
  struct Input {
    std::string id; // in state.json
    std::string words; // name in messages, and the id in older checkpoints
    std::string digest;
  };
  uint64_t num_samples = 0; // to train on
  /// Device and versions that decide the bits. A change is a warning.
  std::string numerics;
  std::vector<Input> digests;
};

/// Writes the model with its tokenizer, or its adapter, unrounded.
void save_weights(
    const std::filesystem::path& folder,
    const Transformer& model,
    const ModelSource& source);
void load_weights(const std::filesystem::path& folder, Transformer& model);
/// Digest of the file that save_weights() wrote.
std::string digest_weights(
    const std::filesystem::path& folder,
    const Transformer& model);

/// Checkpoints of a run: `folder`/step-N, each whole or absent. A checkpoint
/// holds config.json and model.safetensors (so it is a model folder; with LoRA
/// adapter_config.json and adapter_model.safetensors, an adapter folder), the
/// tokenizer, the optimizer's state, state.json, and manifest.json with every
/// file's size and CRC-32.
class Checkpoints {
 public:
  /// `source`: the base of adapters, and the tokenizer.
  Checkpoints(std::filesystem::path folder, const ModelSource& source);

  /// Saves the state between two windows, and removes all but the newest
  /// `keep`.
  void save(
      const Cursor& cursor,
      const RunInputs& inputs,
      const Transformer& model,
      const Optimizer& optimizer,
      int64_t keep) const;

  /// True if there is a checkpoint, damaged or not.
  bool any() const {
    return !steps().empty();
  }

  /// Loads the newest checkpoint whose files are what the manifest says, and
  /// returns where it was made. Damaged ones are passed over and described in
  /// `warnings`. Throws DataError if no good one is left, or if it was made
  /// from other inputs.
  Cursor load_newest(
      const RunInputs& inputs,
      Transformer& model,
      Optimizer& optimizer,
      std::vector<std::string>& warnings) const;

 private:
  std::vector<int64_t> steps() const; // oldest first
  std::filesystem::path path(int64_t step) const;

  std::filesystem::path folder_;
  ModelSource source_;
};

} // namespace accrue
