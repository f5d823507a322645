#pragma once

#include <string>
#include <string_view>

namespace accrue::jinja {

/// Value of a string literal between its quotes: Python's escapes. Throws
/// SyntaxError.
std::string unescape(std::string_view body);

} // namespace accrue::jinja
