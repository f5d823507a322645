// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "run/option_names.h"

// Values of options as text: written as TOML; read from flags and TOML.

namespace accrue::option_text {

std::string to_toml(const std::string& text);
std::string to_toml(const std::vector<std::string>& list);
std::string to_toml(bool value);
std::string to_toml(int64_t value);
std::string to_toml(uint64_t value);
std::string to_toml(double value);
std::string to_toml(Bytes value);
std::string to_toml(Seconds value);
template <NamedEnum E>
std::string to_toml(E value) {
  return to_toml(std::string(to_string(value)));
}
/// Returns an empty text for a setting that was left out.
template <class T>
std::string to_toml(const std::optional<T>& value) {
  return value ? to_toml(*value) : "";
}

/// Parses one value. Throws ConfigError saying what was expected.
void parse(const std::string& text, std::string& value);
void parse(const std::string& text, bool& value);
void parse(const std::string& text, int64_t& value);
void parse(const std::string& text, uint64_t& value);
void parse(const std::string& text, double& value);
void parse(const std::string& text, Bytes& value);
void parse(const std::string& text, Seconds& value);
/// Throws ConfigError for a text that is not among `names`.
[[noreturn]] void refuse(const std::string& text, const std::string& names);
template <NamedEnum E>
void parse(const std::string& text, E& value) {
  for (size_t i = 0; i < EnumNames<E>::values.size(); ++i) {
    if (text == EnumNames<E>::values[i]) {
      value = static_cast<E>(i);
      return;
    }
  }
  refuse(text, all_names<E>(", "));
}
template <class T>
void parse(const std::string& text, std::optional<T>& value) {
  T parsed{};
  parse(text, parsed);
  value = parsed;
}

} // namespace accrue::option_text
