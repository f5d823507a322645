// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace accrue::cli {

using Names = std::set<std::string, std::less<>>;

/// Returns the name that a mistyped one was probably meant to be: one that
/// begins with it, or the nearest within two edits; nullopt if none is near.
std::optional<std::string> nearest_name(
    std::string_view given,
    const Names& names);

} // namespace accrue::cli
