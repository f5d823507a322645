#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "train/model_source.h"

namespace accrue {

/// What a run reads that must be the same when it is resumed.
struct RunInputs {
  uint64_t num_samples = 0; // to train on
  /// Digests by what they are of, in words.
  std::map<std::string, std::string> digests;
};

/// The model with its tokenizer, or its adapter, as it is trained: what
/// load_weights() puts back.
void save_weights(
    const std::filesystem::path& folder,
    const Transformer& model,
    const ModelSource& source);
void load_weights(const std::filesystem::path& folder, Transformer& model);
/// Of the file that save_weights() wrote.
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

  /// Saves the state after `step` optimizer steps, and removes all but the
  /// newest `keep`.
  void save(
      int64_t step,
      const RunInputs& inputs,
      const Transformer& model,
      const Optimizer& optimizer,
      int64_t keep) const;

  /// True if there is a checkpoint, damaged or not.
  bool any() const {
    return !steps().empty();
  }

  /// Loads the newest checkpoint whose files are what the manifest says, and
  /// returns its step. Damaged ones are passed over and described in
  /// `warnings`. Throws DataError if no good one is left, or if it was made
  /// from other inputs.
  int64_t load_newest(
      const RunInputs& inputs,
      Transformer& model,
      Optimizer& optimizer,
      std::vector<std::string>& warnings) const;

 private:
  std::vector<int64_t> steps() const; // oldest first
  std::filesystem::path path(int64_t step) const;

  std::filesystem::path folder_;
  const ModelSource& source_;
};

} // namespace accrue
