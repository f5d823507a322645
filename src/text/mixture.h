// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "accrue/core/error.h"

namespace accrue {

/// Files and folders that are read as one part of the data, and its share of
/// the samples.
struct DataPart {
  /// Files and folders.
  std::vector<std::string> paths;
  /// Share of the samples, > 0, relative to the sum of all shares.
  double share = 1;
};

/// Returns the parts of the data that --data names: one part of all paths or,
/// where each path is followed by a share ("chat.jsonl:0.7 book.txt:0.3"), one
/// part for each. A path that exists as it is spelled has no share. Adds
/// invalid shares to `problems`.
std::vector<DataPart> data_parts(
    const std::vector<std::string>& data,
    Problems& problems);

} // namespace accrue
