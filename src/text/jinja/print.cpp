// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/print.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "text/jinja/objects.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"
#include "text/unicode_case.h"

namespace accrue::jinja {
namespace {

void append_code(std::string& out, char32_t code) {
  auto number = static_cast<uint32_t>(code);
  out += code <= 0xFF  ? fmt::format("\\x{:02x}", number)
      : code <= 0xFFFF ? fmt::format("\\u{:04x}", number)
                       : fmt::format("\\U{:08x}", number);
}

void append_quoted(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  while (!text.empty()) {
    auto [code, length] = unicode::first_character(text);
    if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code == '\\' || code == static_cast<unsigned char>(quote)) {
      out += '\\';
      out += static_cast<char>(code);
    } else if (unicode::is_printable(code)) {
      out += text.substr(0, length);
    } else {
      append_code(out, code);
    }
    text.remove_prefix(length);
  }
  out += quote;
}

/// Appends the repr() of values to a text.
class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  void print(const Value& value) {
    check_length(out_.size());
    switch (value.type()) {
      case Type::kUndefined:
        out_ += "Undefined";
        return;
      case Type::kNone:
        out_ += "None";
        return;
      case Type::kBool:
        out_ += value.integer() != 0 ? "True" : "False";
        return;
      case Type::kInteger:
        out_ += std::to_string(value.integer());
        return;
      case Type::kFloat:
        out_ += repr_float(value.number());
        return;
      case Type::kString:
        print_string(value);
        return;
      case Type::kList:
        return print_items(value.items(), "[", "]");
      case Type::kTuple:
        return print_items(
            value.items(), "(", value.items().size() == 1 ? ",)" : ")");
      case Type::kDict:
        return print_dict(value.as<Dict>());
      case Type::kRange:
        return print_range(value.as<Range>());
      case Type::kView:
        return print_view(value.as<View>());
      default:
        out_ += value.as<Object>().describe();
    }
  }

 private:
  void print_string(const Value& value) {
    if (value.is_markup()) {
      out_ += "Markup(";
    }
    append_quoted(out_, value.text());
    if (value.is_markup()) {
      out_ += ")";
    }
  }

  void print_items(
      const std::vector<Value>& items,
      const char* open,
      const char* close) {
    out_ += open;
    const char* separator = "";
    for (const Value& item : items) {
      out_ += separator;
      print(item);
      separator = ", ";
    }
    out_ += close;
  }

  void print_dict(const Dict& dict) {
    out_ += '{';
    const char* separator = "";
    for (const auto& [key, value] : dict.entries()) {
      out_ += separator;
      print(key);
      out_ += ": ";
      print(value);
      separator = ", ";
    }
    out_ += '}';
  }

  void print_range(const Range& range) {
    out_ += fmt::format("range({}, {}", range.start, range.stop);
    out_ += range.step == 1 ? ")" : fmt::format(", {})", range.step);
  }

  void print_view(const View& view) {
    std::vector<Value> items;
    for (size_t i = 0; i < view.dict->entries().size(); ++i) {
      items.push_back(view.at(i));
    }
    out_ += view.type_name();
    print_items(items, "([", "])");
  }

  std::string& out_;
};

} // namespace

std::string to_text(const Value& value) {
  if (value.is_string()) {
    return value.text();
  }
  return value.is_undefined() ? "" : repr(value);
}

std::string repr(const Value& value) {
  std::string out;
  Printer(out).print(value);
  return out;
}

std::string repr_float(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value > 0 ? "inf" : "-inf";
  }
  char buffer[32];
  auto end = std::to_chars(
                 std::begin(buffer),
                 std::end(buffer),
                 value,
                 std::chars_format::scientific)
                 .ptr;
  std::string text(buffer, end);
  size_t mark = text.find('e');
  int exponent = std::stoi(text.substr(mark + 1));
  if (exponent < -4 || exponent >= 16) {
    return text;
  }
  std::string digits = text.substr(0, mark);
  std::string sign;
  if (digits[0] == '-') {
    sign = "-";
    digits.erase(0, 1);
  }
  std::erase(digits, '.');
  if (exponent < 0) {
    digits.insert(0, static_cast<size_t>(-exponent), '0');
    exponent = 0;
  }
  auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole + 1) {
    digits.resize(whole + 1, '0');
  }
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

} // namespace accrue::jinja
