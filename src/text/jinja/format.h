// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/objects.h"

namespace accrue::jinja {

/// Python's text % arguments.
std::string format_percent(std::string_view text, const Value& arguments);

/// Python's text.format(arguments).
std::string format_braces(std::string_view text, const Arguments& arguments);

/// Format of one value, for both of the above.
struct FormatSpec {
  std::string fill = " "; // one character
  char alignment = 0; // one of < > ^ =; 0: depends on the type
  char sign = '-'; // -, + or space
  bool alternate = false; // #: prefix 0x, or a decimal point
  bool zeros = false; // pad numbers with zeros
  int64_t width = 0; // characters; 0: no padding
  char grouping = 0; // , or _; 0: none
  std::optional<int64_t> precision; // digits; of a text: characters
  char type = 0; // letter such as d; 0: depends on the value
};

/// Formats and pads a number in one of the types b c d o x X n e E f F g G %.
std::string format_number(const Value& number, const FormatSpec& spec);
/// Truncates a text to the precision and pads it.
std::string format_text(std::string_view text, const FormatSpec& spec);
/// Returns the character with this code. Fails if there is none.
std::string character_of(int64_t code);
/// Python's ascii().
std::string repr_ascii(const Value& value);

} // namespace accrue::jinja
