// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

/// Writes JSON as Python's json.dumps does.
class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  void write(const Value& value);

  std::string take() {
    check_length(out_.size());
    return std::move(out_);
  }

 private:
  static std::string scalar(const Value& value);
  void break_line();
  void write_list(const std::vector<Value>& items);
  void write_dict(const Dict& dict);
  void write_key(const Value& key);
  void write_string(std::string_view text);
  void write_control(char32_t code);

  /// Writes a character as escapes of UTF-16.
  void write_units(char32_t code);

  const JsonStyle& style_;
  std::string out_;
  size_t level_ = 0;
};

void JsonWriter::write(const Value& value) {
  check_length(out_.size());
  switch (value.type()) {
    case Type::kString:
      return write_string(value.text());
    case Type::kNone:
    case Type::kBool:
    case Type::kInteger:
    case Type::kFloat:
      out_ += scalar(value);
      return;
    case Type::kList:
    case Type::kTuple:
      return write_list(value.items());
    case Type::kDict:
      return write_dict(value.as<Dict>());
    default:
      fail(fmt::format(
          "tojson: JSON has no values of type {}", value.type_name()));
  }
}

std::string JsonWriter::scalar(const Value& value) {
  switch (value.type()) {
    case Type::kNone:
      return "null";
    case Type::kBool:
      return value.integer() != 0 ? "true" : "false";
    case Type::kInteger:
      return std::to_string(value.integer());
    default:
      return std::isnan(value.number()) ? "NaN"
          : std::isinf(value.number())
          ? (value.number() > 0 ? "Infinity" : "-Infinity")
          : repr_float(value.number());
  }
}

void JsonWriter::break_line() {
  if (style_.indent) {
    check_length(out_.size() + style_.indent->size() * level_);
    out_ += '\n';
    for (size_t i = 0; i < level_; ++i) {
      out_ += *style_.indent;
    }
  }
}

void JsonWriter::write_list(const std::vector<Value>& items) {
  if (items.empty()) {
    out_ += "[]";
    return;
  }
  out_ += '[';
  ++level_;
  for (size_t i = 0; i < items.size(); ++i) {
    out_ += i > 0 ? style_.item_separator : "";
    break_line();
    write(items[i]);
  }
  --level_;
  break_line();
  out_ += ']';
}

void JsonWriter::write_dict(const Dict& dict) {
  if (dict.entries().empty()) {
    out_ += "{}";
    return;
  }
  auto entries = dict.entries();
  if (style_.sort_keys) {
    std::stable_sort(
        entries.begin(), entries.end(), [](const auto& a, const auto& b) {
          return less(a.first, b.first);
        });
  }
  out_ += '{';
  ++level_;
  for (size_t i = 0; i < entries.size(); ++i) {
    out_ += i > 0 ? style_.item_separator : "";
    break_line();
    write_key(entries[i].first);
    out_ += style_.key_separator;
    write(entries[i].second);
  }
  --level_;
  break_line();
  out_ += '}';
}

void JsonWriter::write_key(const Value& key) {
  if (key.is_string()) {
    write_string(key.text());
  } else if (key.is_none() || key.is_number()) {
    write_string(scalar(key));
  } else {
    fail(fmt::format("tojson: JSON has no keys of type {}", key.type_name()));
  }
}

void JsonWriter::write_string(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    auto [code, length] = unicode::first_character(text);
    if (code == '"' || code == '\\') {
      out_ += '\\';
      out_ += static_cast<char>(code);
    } else if (code < 0x20) {
      write_control(code);
    } else if (code < 0x7F || !style_.ascii_only) {
      out_ += text.substr(0, length);
    } else {
      write_units(code);
    }
    text.remove_prefix(length);
  }
  out_ += '"';
}

void JsonWriter::write_control(char32_t code) {
  static constexpr std::string_view kCodes = "\b\t\n\f\r";
  static constexpr std::string_view kLetters = "btnfr";
  size_t known = kCodes.find(static_cast<char>(code));
  if (code != 0 && known != std::string_view::npos) {
    out_ += '\\';
    out_ += kLetters[known];
  } else {
    out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
  }
}

void JsonWriter::write_units(char32_t code) {
  auto number = static_cast<uint32_t>(code);
  if (number > 0xFFFF) {
    out_ += fmt::format("\\u{:04x}", 0xD7C0 + (number >> 10));
    number = 0xDC00 + (number & 0x3FF);
  }
  out_ += fmt::format("\\u{:04x}", number);
}

} // namespace

std::string to_json(const Value& value, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(value);
  return writer.take();
}

} // namespace accrue::jinja
