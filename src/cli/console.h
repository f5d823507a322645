// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdio>

#include "run/model_source.h"

namespace accrue::cli {

/// Returns the stream for people: stdout, or stderr where --json gives stdout
/// to programs.
inline std::FILE* progress_stream(bool json) {
  return json ? stderr : stdout;
}

/// Prints warnings to stderr, even with --quiet.
inline void print_warnings(const ModelSource& source) {
  for (const std::string& warning : source.warnings) {
    fmt::print(stderr, "warning: {}\n", warning);
  }
}

} // namespace accrue::cli
