// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/metrics.h"

namespace accrue::report {

/// Returns the first record of an event file, which holds the version of the
/// format. A record has the frame of TFRecord files: length, checksum, bytes,
/// checksum.
std::string version_record(double wall_time_s);

/// Returns a record with the values of all curves at this step. A value that is
/// not finite becomes NaN (null in metrics.jsonl).
std::string step_record(const StepMetrics& metrics, double wall_time_s);

/// Event file of a run, which TensorBoard reads while it grows.
class EventFile {
 public:
  /// Begins a file in `folder` with the steps in `kept`. Files of earlier parts
  /// of the run are removed, because they may hold steps that will be repeated.
  EventFile(
      const std::filesystem::path& folder,
      const std::vector<StepMetrics>& kept);

  void append(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
};

} // namespace accrue::report
