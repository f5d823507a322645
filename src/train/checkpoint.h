#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"

namespace accrue {

/// Checkpoints of a run: `folder`/step-N, each whole or absent. A checkpoint
/// holds config.json and model.safetensors (so it is a model folder; with LoRA
/// adapter_config.json and adapter_model.safetensors, an adapter folder), the
/// optimizer's state, state.json, and manifest.json with every file's size and
/// CRC-32.
class Checkpoints {
 public:
  /// `base`: the model that adapters belong to.
  Checkpoints(std::filesystem::path folder, std::string base);

  /// Saves the state after `step` optimizer steps over `num_samples` training
  /// samples, and removes all but the newest `keep`.
  void save(
      int64_t step,
      uint64_t num_samples,
      const Transformer& model,
      const Optimizer& optimizer,
      int64_t keep) const;

  /// Loads the newest checkpoint whose files are what the manifest says, and
  /// returns its step. Damaged ones are passed over and described in
  /// `warnings`. Throws DataError if no good one is left or the training data
  /// has another number of samples by now.
  int64_t load_newest(
      uint64_t num_samples,
      Transformer& model,
      Optimizer& optimizer,
      std::vector<std::string>& warnings) const;

 private:
  std::vector<int64_t> steps() const; // oldest first
  std::filesystem::path path(int64_t step) const;

  std::filesystem::path folder_;
  std::string base_;
};

} // namespace accrue
