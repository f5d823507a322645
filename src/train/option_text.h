#pragma once

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "accrue/core/error.h"
#include "train/options.h"

// Values of options as text: TOML one way, flags and TOML the other way.

namespace accrue::option_text {

inline std::string to_toml(const std::string& text) {
  return nlohmann::json(text).dump(); // JSON's escapes are TOML's
}
inline std::string to_toml(const std::vector<std::string>& list) {
  return nlohmann::json(list).dump();
}
inline std::string to_toml(bool value) {
  return value ? "true" : "false";
}
inline std::string to_toml(int64_t value) {
  return fmt::format("{}", value);
}
inline std::string to_toml(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
inline std::string to_toml(Bytes value) {
  return fmt::format("{}", value.value);
}
inline std::string to_toml(Seconds value) {
  return fmt::format("\"{}s\"", value.value);
}
template <class E>
requires std::is_enum_v<E> std::string to_toml(E value) {
  return to_toml(std::string(EnumNames<E>::values[static_cast<size_t>(value)]));
}
/// Empty for a setting that was left out.
template <class T>
std::string to_toml(const std::optional<T>& value) {
  return value ? to_toml(*value) : "";
}

/// Parses one value. Throws ConfigError saying what was expected.
inline void parse(const std::string& text, std::string& value) {
  value = text;
}
inline void parse(const std::string& text, Bytes& value) {
  value = parse_bytes(text);
}
inline void parse(const std::string& text, Seconds& value) {
  value = parse_seconds(text);
}
template <class T>
requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) void parse(
    const std::string& text,
    T& value) {
  const char* end = text.data() + text.size();
  auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) {
    throw ConfigError(fmt::format(
        "expected a {}number, got \"{}\"",
        std::is_integral_v<T> ? "whole " : "",
        text));
  }
}
inline void parse(const std::string& text, bool& value) {
  if (text != "true" && text != "false") {
    throw ConfigError(fmt::format("expected true or false, got \"{}\"", text));
  }
  value = text == "true";
}
template <class E>
requires std::is_enum_v<E>
void parse(const std::string& text, E& value) {
  std::string valid;
  for (size_t i = 0; i < EnumNames<E>::values.size(); ++i) {
    if (text == EnumNames<E>::values[i]) {
      value = static_cast<E>(i);
      return;
    }
    valid += (i == 0 ? "" : ", ") + std::string(EnumNames<E>::values[i]);
  }
  throw ConfigError(fmt::format("expected one of {}, got \"{}\"", valid, text));
}
template <class T>
void parse(const std::string& text, std::optional<T>& value) {
  T parsed{};
  parse(text, parsed);
  value = parsed;
}

} // namespace accrue::option_text
