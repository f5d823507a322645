// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "drive/window_runner.h"
#include "report/progress.h"
#include "run/task.h"

namespace accrue {

/// The window of an optimizer step: its samples and their losses.
class WindowOfStep final : public drive::WindowWork {
 public:
  /// `step` counts from 0.
  WindowOfStep(const Task& task, int64_t step, report::Progress& progress);

  int64_t num_samples() const override {
    return window_.size();
  }
  int64_t num_tokens(int64_t sample) const override;
  int64_t grain_tokens() const override;
  std::optional<drive::Totals> add(
      Window& window,
      Range samples,
      bool recompute) override;
  void on_micro_batch(const drive::MicroBatchRun& run) override;
  void on_rollback(const std::string& message) override;
  std::string name(int64_t sample) const override;
  std::string memory_advice(bool recompute) const override;
  std::string nonfinite_advice(std::optional<Range> samples) const override;

 private:
  const Task& task_;
  int64_t step_;
  Range window_; // positions in the order
  report::Progress& progress_;
};

/// Copies of the longest training sample, the worst in memory and time, for
/// probes; its sequences are shortened to `length` tokens in all.
class LongestSamples final : public drive::WindowWork {
 public:
  LongestSamples(const Task& task, int64_t count, int64_t length);

  int64_t num_samples() const override {
    return count_;
  }
  int64_t num_tokens(int64_t sample) const override;
  int64_t grain_tokens() const override;
  bool wants_times() const override {
    return true;
  }
  std::optional<drive::Totals> add(
      Window& window,
      Range samples,
      bool recompute) override;
  std::string name(int64_t sample) const override;
  std::string memory_advice(bool recompute) const override;

 private:
  const Task& task_;
  int64_t count_;
  Sample longest_;
};

} // namespace accrue
