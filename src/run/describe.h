// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "report/progress.h"
#include "run/task.h"

namespace accrue {

/// Prints a summary of the run: model, data, chat template, windows.
void describe(
    const Task& task,
    const drive::MicroBatching& batching,
    report::Progress& progress);

/// Names the samples of the window of `step` (from 0) whose losses are highest,
/// or not a number, with the model as it is now: "highest losses: sample 812
/// (9.13), …". Runs them one by one, so that the text does not depend on how
/// windows are split.
std::string worst_samples(const Task& task, int64_t step);

} // namespace accrue
