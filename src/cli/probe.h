// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "run/options.h"

namespace accrue::cli {

/// Runs `accrue probe` with these arguments of `train` and returns the fit
/// table that it prints, for PlanOptions::known. The child process measures
/// because probes take more memory than the run that follows, and the peak of a
/// process never falls. Throws Exit with the child's exit code if the child
/// failed; its message is on stderr.
std::string probe_in_child(const std::vector<std::string>& arguments);

/// Returns the fit table that an earlier start of a resumed run has left in its
/// folder; "" without one.
std::string saved_fit_table(const TrainOptions& options);

} // namespace accrue::cli
