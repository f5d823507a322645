// SPDX-License-Identifier: Apache-2.0
#include "run/option_text.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace accrue::option_text {
namespace {

template <class T>
void parse_number(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) {
    throw ConfigError(fmt::format(
        "expected a {}number, got \"{}\"",
        std::is_integral_v<T> ? "whole " : "",
        text));
  }
}

} // namespace

std::string to_toml(const std::string& text) {
  return nlohmann::json(text).dump(); // JSON's escapes are TOML's
}
std::string to_toml(const std::vector<std::string>& list) {
  return nlohmann::json(list).dump();
}
std::string to_toml(bool value) {
  return value ? "true" : "false";
}
std::string to_toml(int64_t value) {
  return fmt::format("{}", value);
}
std::string to_toml(uint64_t value) {
  return fmt::format("{}", value);
}
std::string to_toml(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
std::string to_toml(Bytes value) {
  return fmt::format("{}", value.value);
}
std::string to_toml(Seconds value) {
  return fmt::format("\"{}s\"", value.value);
}

void parse(const std::string& text, std::string& value) {
  value = text;
}
void parse(const std::string& text, bool& value) {
  if (text != "true" && text != "false") {
    throw ConfigError(fmt::format("expected true or false, got \"{}\"", text));
  }
  value = text == "true";
}
void parse(const std::string& text, int64_t& value) {
  parse_number(text, value);
}
void parse(const std::string& text, uint64_t& value) {
  parse_number(text, value);
}
void parse(const std::string& text, double& value) {
  parse_number(text, value);
}
void parse(const std::string& text, Bytes& value) {
  value = parse_bytes(text);
}
void parse(const std::string& text, Seconds& value) {
  value = parse_seconds(text);
}

void refuse(const std::string& text, const std::string& names) {
  throw ConfigError(fmt::format("expected one of {}, got \"{}\"", names, text));
}

} // namespace accrue::option_text
