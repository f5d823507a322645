#pragma once

#include <string>
#include <vector>

namespace accrue::cli {

/// What a child process finds out that measures what fits, for a `train` with
/// these arguments: a fit table for PlanOptions::known. In a process of its
/// own, because probes take more than the run that follows, and a process's
/// peak stays. Exits as the child did if that found the settings, the data or
/// the memory wanting; its message is on stderr then.
std::string probe_in_child(const std::vector<std::string>& arguments);

} // namespace accrue::cli
