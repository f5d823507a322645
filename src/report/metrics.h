// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace accrue::report {

/// Metrics of one optimizer step: one line of metrics.jsonl.
struct StepMetrics {
  int64_t step = 0; // optimizer steps done, this one included
  double loss = 0; // mean of the window, per target token or pair
  std::optional<double> valid_loss; // on steps that evaluated
  double lr = 0;
  double grad_norm = 0; // before clipping
  int64_t samples = 0;
  int64_t tokens = 0;
  int64_t target_tokens = 0;
  double tokens_per_s = 0;
  double step_s = 0;
  int64_t micro_batch = 0; // samples per micro-batch
  int64_t accumulation_steps = 0;
  int64_t world_size = 1;
  uint64_t peak_bytes = 0; // tensors, during this step
  uint64_t resident_peak_bytes = 0; // process, since its start
  int64_t skipped = 0; // samples left out
  std::optional<double> reward_margin; // dpo: mean over the window's pairs
  std::optional<double> reward_accuracy; // dpo: share of margins > 0
  std::optional<double> valid_reward_margin; // dpo, on steps that evaluated
  std::optional<double> valid_reward_accuracy;
  int64_t rollbacks = 0; // windows repeated after running out of memory
  std::vector<std::string> warnings; // unusual values, with their samples
};

/// Returns the metrics as JSON on one line. Numbers that are not finite become
/// null.
std::string to_json(const StepMetrics& metrics);

/// Reads metrics.jsonl. An incomplete last line, left by a crash, is ignored;
/// any other damaged line throws DataError.
std::vector<StepMetrics> read_metrics(const std::filesystem::path& path);

/// Appends steps to metrics.jsonl. The system has each line before the next
/// step starts, so that it survives a crash of the process.
class MetricsFile {
 public:
  /// Keeps the first `steps_done` steps in `path`; later ones will be repeated.
  MetricsFile(std::filesystem::path path, int64_t steps_done);

  /// The steps that were kept.
  const std::vector<StepMetrics>& done() const {
    return done_;
  }

  void append(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
  std::vector<StepMetrics> done_;
};

} // namespace accrue::report
