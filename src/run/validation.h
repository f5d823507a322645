// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "report/metrics.h"
#include "run/task.h"

namespace accrue {

/// What validation losses decide: which model is kept (--keep-best) and when
/// training ends (--patience). Made again from the metrics of the steps that
/// are done, so a resumed run decides as one that was never interrupted: the
/// evaluation at the end of an earlier, shorter run does not count.
class Validation {
 public:
  struct Best {
    int64_t step = 0; // optimizer steps done
    double loss = 0;
  };

  /// The best model is kept in `out`/best, a model or adapter folder, but for
  /// the last step's, which is in memory.
  Validation(Task& task, const std::filesystem::path& out);

  /// A step that was done before this process.
  void recall(const report::StepMetrics& metrics);

  /// A step just done: keeps the model if its validation loss is the lowest.
  void note(const report::StepMetrics& metrics);

  /// True after --patience evaluations in a row that were not the best.
  bool stops() const;

  /// The step with the lowest validation loss.
  const std::optional<Best>& best() const {
    return best_;
  }

  /// Puts the weights of the best step into the model, which is that of `step`.
  /// Returns what to tell of it. Throws DataError if they are damaged.
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
