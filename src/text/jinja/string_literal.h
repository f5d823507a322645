// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace accrue::jinja {

/// Returns the value of a string literal, given without its quotes and with
/// Python's escapes. Throws SyntaxError.
std::string unescape(std::string_view body);

} // namespace accrue::jinja
