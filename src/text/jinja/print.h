// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace accrue::jinja {

/// Python's str(): the text that {{ }} writes.
std::string to_text(const Value& value);
/// Python's repr().
std::string repr(const Value& value);
std::string repr_float(double value);

/// Style of Python's json.dumps().
struct JsonStyle {
  bool ascii_only = false; // write other characters as escapes
  bool sort_keys = false; // otherwise in the order of insertion
  std::optional<std::string> indent; // per level; nullopt: all on one line
  std::string item_separator = ", "; // between items
  std::string key_separator = ": "; // between a key and its value
};
/// Writes JSON as json.dumps() does, byte for byte. Fails for values that JSON
/// does not have.
std::string to_json(const Value& value, const JsonStyle& style);

} // namespace accrue::jinja
