// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <toml++/toml.h>

#include <string>

#include "io/files.h"

namespace accrue::io {

/// Reads a TOML file. Throws E naming the file and the line.
template <class E>
toml::table read_toml(const std::filesystem::path& path) {
  try {
    return toml::parse(read_file(path));
  } catch (const toml::parse_error& error) {
    throw E(fmt::format(
        "[toml] line {} of {}: {}. Fix the line.",
        error.source().begin.line,
        path.string(),
        error.description()));
  }
}

} // namespace accrue::io
