#pragma once

#include <string>
#include <vector>

#include "accrue/core/error.h"

namespace accrue {

/// Files and folders that are read as one, and their share of the samples.
struct DataPart {
  std::vector<std::string> paths;
  double share = 1; // relative to the sum of all shares
};

/// The parts of what --data names: one of all paths, or, where each path has
/// its share behind it ("chat.jsonl:0.7 book.txt:0.3"), one of each. A path
/// that exists as it is spelled has no share. Adds to `problems` what can't be.
std::vector<DataPart> data_parts(
    const std::vector<std::string>& data,
    Problems& problems);

} // namespace accrue
