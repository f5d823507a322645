#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace accrue::jinja {

/// Python's str(): what {{ }} writes.
std::string to_text(const Value& value);
/// Python's repr().
std::string repr(const Value& value);
std::string repr_float(double value);

/// json.dumps(), byte for byte.
struct JsonStyle {
  bool ascii_only = false;
  bool sort_keys = false;
  std::optional<std::string> indent; // of one level; absent: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// Fails for what JSON does not have.
std::string to_json(const Value& value, const JsonStyle& style);

} // namespace accrue::jinja
