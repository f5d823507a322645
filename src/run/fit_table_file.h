// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "drive/fit_table.h"
#include "run/task.h"

namespace accrue {

/// Path of the fit table that a run keeps.
inline std::filesystem::path fit_table_path(const TrainOptions& options) {
  return std::filesystem::path(options.out) / "fit-table.json";
}

/// A fit table with the settings that it depends on.
std::string to_json(const Task& task, const drive::FitTable& table);

/// Reads a fit table. Returns nullopt if it is damaged or belongs to other
/// settings, so that it is measured again.
std::optional<drive::FitTable> parse_fit_table(
    const Task& task,
    const std::string& text);

} // namespace accrue
