#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/metrics.h"

namespace accrue::report {

/// First record of an event file, which says what the others are. A record is
/// framed as in TFRecord files: length, checksum, bytes, checksum.
std::string version_record(double wall_time_s);

/// One record with every curve's value at this step. What is not finite is
/// NaN, as it is null in metrics.jsonl.
std::string step_record(const StepMetrics& metrics, double wall_time_s);

/// The event file of a run, which TensorBoard reads while it grows.
class EventFile {
 public:
  /// Begins a file in `folder` with the steps that are `kept`. Files of earlier
  /// parts of the run are removed: they may have steps about to be repeated.
  EventFile(
      const std::filesystem::path& folder,
      const std::vector<StepMetrics>& kept);

  void append(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
};

} // namespace accrue::report
