#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/objects.h"

namespace accrue::jinja {

/// text % arguments.
std::string format_percent(std::string_view text, const Value& arguments);

/// text.format(arguments).
std::string format_braces(std::string_view text, const Arguments& arguments);

/// Format of one value, in the notation of either.
struct FormatSpec {
  std::string fill = " ";
  char alignment = 0; // < > ^ = or 0: by type
  char sign = '-'; // - + or space
  bool alternate = false; // #
  bool zeros = false; // pads a number with zeros
  int64_t width = 0;
  char grouping = 0; // , or _
  std::optional<int64_t> precision;
  char type = 0;
};

/// A number in one of the types b c d o x X n e E f F g G %, padded.
std::string format_number(const Value& number, const FormatSpec& spec);
/// Cut to the precision and padded.
std::string format_text(std::string_view text, const FormatSpec& spec);
/// Fails if there is none of that code.
std::string character_of(int64_t code);
/// Python's ascii().
std::string repr_ascii(const Value& value);

} // namespace accrue::jinja
