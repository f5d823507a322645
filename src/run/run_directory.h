// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "accrue/optim/optimizer.h"
#include "drive/fit_table.h"
#include "report/progress.h"
#include "run/checkpoint.h"
#include "run/run_lock.h"
#include "run/task.h"

namespace accrue {

/// The folder of a run: its lock, settings, checkpoints, and digests of the
/// inputs that a resumed run must find unchanged.
class RunDirectory {
 public:
  RunDirectory(Task& task, report::Progress& progress);

  /// Throws ConfigError if another run began in the folder since the settings
  /// were checked: planning takes a while.
  void lock();
  /// Throws DataError if the folder is no longer the one that was locked.
  void check_lock() const;

  /// Prepares the objective, at most `tokens` tokens at once, and loads the
  /// newest good checkpoint if the options say resume and there is one.
  Cursor begin_or_resume(Optimizer& optimizer, int64_t tokens);

  /// Writes config.toml and, if there is a plan, its fit table.
  void write_settings(const drive::FitTable* table) const;

  bool checkpoint_is_due(const Cursor& cursor) const;
  void save(const Cursor& cursor, const Optimizer& optimizer) const;

 private:
  RunInputs inputs() const;
  void prepare_objective(bool resumes, int64_t tokens);

  Task& task_;
  report::Progress& progress_;
  std::filesystem::path out_;
  std::optional<RunLock> lock_;
  Checkpoints checkpoints_;
  RunInputs inputs_;
};

} // namespace accrue
