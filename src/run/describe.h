// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "report/progress.h"
#include "run/task.h"

namespace accrue {

/// Tells people what is about to run: model, data, template, windows.
void describe(
    const Task& task,
    const drive::MicroBatching& batching,
    report::Progress& progress);

/// The samples of the window of `step` (from 0) with the highest losses, or
/// none that is a number, as the model is now: "highest losses: sample 812
/// (9.13), …". Computed one by one, so that it does not depend on how windows
/// are split.
std::string worst_samples(const Task& task, int64_t step);

} // namespace accrue
