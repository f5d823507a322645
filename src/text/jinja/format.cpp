// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

constexpr int64_t kMaxPrecision = 10'000;

struct NumberText {
  std::string sign;
  std::string prefix; // 0x
  std::string digits;
  std::string rest; // fraction, exponent, %
};

std::string sign_of(bool negative, char wanted) {
  return negative ? "-" : wanted == '-' ? "" : std::string(1, wanted);
}

NumberText write_integer(int64_t value, const FormatSpec& spec) {
  const auto magnitude =
      value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  NumberText text{.sign = sign_of(value < 0, spec.sign)};
  switch (spec.type) {
    case 'x':
    case 'X':
      text.digits = spec.type == 'x' ? fmt::format("{:x}", magnitude)
                                     : fmt::format("{:X}", magnitude);
      break;
    case 'o':
      text.digits = fmt::format("{:o}", magnitude);
      break;
    case 'b':
      text.digits = fmt::format("{:b}", magnitude);
      break;
    case 'c':
      text.digits = character_of(value);
      return text;
    default:
      text.digits = std::to_string(magnitude);
      return text;
  }
  if (spec.alternate) {
    text.prefix = std::string("0") + spec.type;
  }
  return text;
}

/// Prints a number with one of printf's types.
std::string print_float(
    double value,
    char type,
    int precision,
    bool alternate) {
  const std::string format = std::string(alternate ? "%#.*" : "%.*") + type;
  auto print = [&](char* buffer, size_t size) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return std::snprintf(buffer, size, format.c_str(), precision, value);
#pragma GCC diagnostic pop
  };
  std::string text(static_cast<size_t>(print(nullptr, 0)), '\0');
  print(text.data(), text.size() + 1);
  return text;
}

NumberText write_float(double value, const FormatSpec& spec) {
  int64_t precision = spec.precision.value_or(6);
  if (precision > kMaxPrecision) {
    fail(fmt::format("a precision of more than {} digits", kMaxPrecision));
  }
  const bool percent = spec.type == '%';
  char type = percent ? 'f' : spec.type == 'n' ? 'g' : spec.type;
  std::string body;
  if (type == 0) { // like str(); with a precision like g
    body = spec.precision ? print_float(
                                std::fabs(value),
                                'g',
                                std::max(1, static_cast<int>(precision)),
                                spec.alternate)
                          : repr_float(std::fabs(value));
    if (std::isfinite(value) && body.find_first_of(".e") == std::string::npos) {
      body += ".0";
    }
  } else {
    body = print_float(
        std::fabs(percent ? value * 100 : value),
        type,
        static_cast<int>(precision),
        spec.alternate);
  }
  if (percent) {
    body += '%';
  }
  size_t whole = std::min(body.find_first_not_of("0123456789"), body.size());
  return {
      .sign = sign_of(std::signbit(value) && !std::isnan(value), spec.sign),
      .digits = body.substr(0, whole),
      .rest = body.substr(whole)};
}

std::string group(
    const std::string& digits,
    const FormatSpec& spec,
    size_t least_width) {
  const size_t every = spec.type == 'x' || spec.type == 'X' ||
          spec.type == 'o' || spec.type == 'b'
      ? 4
      : 3;
  std::string text; // in reverse order
  for (size_t i = 0; i < digits.size() || text.size() < least_width; ++i) {
    if (i > 0 && i % every == 0) {
      text += spec.grouping;
    }
    text += i < digits.size() ? digits[digits.size() - 1 - i] : '0';
  }
  std::reverse(text.begin(), text.end());
  return text;
}

std::string align(
    const std::string& before,
    const std::string& text,
    const FormatSpec& spec,
    char fallback) {
  switch (spec.alignment != 0 ? spec.alignment : fallback) {
    case '<':
      return pad(before + text, spec.width, Alignment::kLeft, spec.fill);
    case '^': {
      // An odd space goes to the right, unlike in str.center().
      auto length = static_cast<int64_t>(count_characters(before + text));
      int64_t left = std::max<int64_t>(0, (spec.width - length) / 2);
      return pad(
          pad(before + text, length + left, Alignment::kRight, spec.fill),
          spec.width,
          Alignment::kLeft,
          spec.fill);
    }
    case '=': {
      auto taken = static_cast<int64_t>(before.size());
      return before +
          pad(text, spec.width - taken, Alignment::kRight, spec.fill);
    }
    default:
      return pad(before + text, spec.width, Alignment::kRight, spec.fill);
  }
}

bool is_float_type(char type) {
  return type != 0 &&
      std::string_view("eEfFgG%").find(type) != std::string_view::npos;
}

} // namespace

std::string format_number(const Value& number, const FormatSpec& spec) {
  constexpr std::string_view kIntegerTypes = "bcdoxXn";
  check_length(static_cast<uint64_t>(spec.width));
  const bool is_float = number.is(Type::kFloat) || is_float_type(spec.type);
  if (is_float ? spec.type != 0 && spec.type != 'n' && !is_float_type(spec.type)
               : spec.type != 0 &&
              kIntegerTypes.find(spec.type) == std::string_view::npos) {
    fail(fmt::format(
        "unknown format code '{}' for '{}'", spec.type, number.type_name()));
  }
  NumberText text = is_float ? write_float(number.number(), spec)
                             : write_integer(number.integer(), spec);
  std::string before = text.sign + text.prefix;
  const bool zeros = spec.zeros && spec.alignment == 0;
  FormatSpec padding = spec;
  if (zeros) {
    padding.fill = "0";
    padding.alignment = '=';
  }
  if (spec.grouping != 0) {
    auto taken = static_cast<int64_t>(before.size() + text.rest.size());
    text.digits = group(
        text.digits,
        spec,
        zeros ? static_cast<size_t>(std::max<int64_t>(0, spec.width - taken))
              : 0);
  }
  return align(before, text.digits + text.rest, padding, '>');
}

std::string format_text(std::string_view text, const FormatSpec& spec) {
  if (spec.precision) {
    text = characters(text, 0, static_cast<size_t>(*spec.precision));
  }
  FormatSpec padding = spec;
  if (spec.zeros && spec.alignment == 0) {
    padding.fill = "0";
  }
  return align("", std::string(text), padding, '<');
}

std::string character_of(int64_t code) {
  if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    fail("format: there is no character with this code");
  }
  return encode(std::u32string(1, static_cast<char32_t>(code)));
}

std::string repr_ascii(const Value& value) {
  std::string out;
  for (char32_t code : decode(repr(value))) {
    auto number = static_cast<uint32_t>(code);
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else {
      out += code <= 0xFF  ? fmt::format("\\x{:02x}", number)
          : code <= 0xFFFF ? fmt::format("\\u{:04x}", number)
                           : fmt::format("\\U{:08x}", number);
    }
  }
  return out;
}

} // namespace accrue::jinja
