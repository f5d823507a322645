// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "report/metrics.h"
#include "report/tensorboard.h"

namespace accrue::report {

/// Files of a run directory that grow with every step.
class StepFiles {
 public:
  /// Keeps the first `steps_done` steps in metrics.jsonl and, if `tensorboard`
  /// is set, in an event file with the same values.
  StepFiles(
      const std::filesystem::path& out,
      int64_t steps_done,
      bool tensorboard)
      : metrics_(out / "metrics.jsonl", steps_done) {
    if (tensorboard) {
      events_.emplace(out / "tensorboard", metrics_.done());
    }
  }

  /// Metrics of the steps done before this process.
  const std::vector<StepMetrics>& done() const {
    return metrics_.done();
  }

  void append(const StepMetrics& metrics) {
    metrics_.append(metrics);
    if (events_) {
      events_->append(metrics);
    }
  }

 private:
  MetricsFile metrics_;
  std::optional<EventFile> events_;
};

} // namespace accrue::report
