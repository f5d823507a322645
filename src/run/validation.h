// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "report/metrics.h"
#include "run/task.h"

namespace accrue {

/// Decides by validation losses which model is kept (--keep-best) and when
/// training ends (--patience). A resumed run rebuilds this object from the
/// metrics of earlier steps, so it decides like a run that was never
/// interrupted: the evaluation at the end of an earlier, shorter run does not
/// count.
class Validation {
 public:
  struct Best {
    int64_t step = 0; // optimizer steps done
    double loss = 0;
  };

  /// Keeps the best model in `out`/best, a model or adapter folder, unless it
  /// is that of the last step, which is in memory.
  Validation(Task& task, const std::filesystem::path& out);

  /// Takes in a step that was done before this process.
  void recall(const report::StepMetrics& metrics);

  /// Takes in the step just done: keeps the model if its loss is the lowest.
  void note(const report::StepMetrics& metrics);

  /// True after --patience evaluations in a row that were not the best.
  bool stops() const;

  /// The step with the lowest validation loss.
  const std::optional<Best>& best() const {
    return best_;
  }

  /// Puts the weights of the best step into the model, whose own are those of
  /// `step`. Returns a line to print. Throws DataError if they are damaged.
  std::string restore_best(int64_t step);

 private:
  bool is_regular(int64_t step) const;
  bool improves(const report::StepMetrics& metrics);

  Task& task_;
  std::filesystem::path folder_;
  std::optional<Best> best_;
  int64_t since_best_ = 0; // evaluations
};

} // namespace accrue
