// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

/// Python's printf-style formatting.
class PercentFormatter {
 public:
  PercentFormatter(std::string_view text, const Value& arguments)
      : text_(text), arguments_(arguments) {}

  std::string run();

 private:
  bool is_mapping() const;

  size_t count() const {
    return arguments_.is(Type::kTuple) ? arguments_.items().size() : 1;
  }

  Value take();
  char peek() const;
  Value take_named();

  /// Reads a number: digits, or * for an argument.
  int64_t read_number();
  FormatSpec read_spec();
  void convert();
  void write(const Value& value, char type, FormatSpec& spec);
  void write_integer_of(const Value& value, char type, FormatSpec& spec);
  static std::string character(const Value& value);
  static int64_t truncate(double value);

  std::string_view text_;
  const Value& arguments_;
  size_t i_ = 0;
  size_t used_ = 0;
  std::string out_;
};

std::string PercentFormatter::run() {
  while (i_ < text_.size()) {
    if (text_[i_] != '%') {
      out_ += text_[i_++];
      continue;
    }
    ++i_;
    convert();
    check_length(out_.size());
  }
  if (used_ < count() && !is_mapping()) {
    fail("%: not all arguments converted");
  }
  return std::move(out_);
}

bool PercentFormatter::is_mapping() const {
  switch (arguments_.type()) {
    case Type::kUndefined:
    case Type::kList:
    case Type::kDict:
    case Type::kRange:
      return true;
    default:
      return false;
  }
}

Value PercentFormatter::take() {
  if (used_ >= count()) {
    fail("%: not enough arguments");
  }
  size_t i = used_++;
  return arguments_.is(Type::kTuple) ? arguments_.items()[i] : arguments_;
}

char PercentFormatter::peek() const {
  if (i_ >= text_.size()) {
    fail("%: incomplete format");
  }
  return text_[i_];
}

Value PercentFormatter::take_named() {
  if (!arguments_.is(Type::kDict)) {
    fail("%: a format with a name requires a mapping");
  }
  size_t begin = ++i_;
  for (int depth = 1; depth > 0; ++i_) {
    depth += peek() == '(' ? 1 : peek() == ')' ? -1 : 0;
  }
  std::string name(text_.substr(begin, i_ - 1 - begin));
  const Value* value = arguments_.as<Dict>().find(name);
  if (value == nullptr) {
    fail(fmt::format("%: no argument '{}'", name));
  }
  return *value;
}

int64_t PercentFormatter::read_number() {
  if (peek() == '*') {
    ++i_;
    Value value = take();
    if (!value.is_integral()) {
      fail("%: * wants an integer");
    }
    return std::clamp<int64_t>(value.integer(), -int64_t{INT32_MAX}, INT32_MAX);
  }
  int64_t number = 0;
  while (peek() >= '0' && peek() <= '9') {
    number = std::min<int64_t>(number * 10 + (text_[i_++] - '0'), INT32_MAX);
  }
  return number;
}

FormatSpec PercentFormatter::read_spec() {
  FormatSpec spec;
  for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos;
       ++i_) {
    switch (text_[i_]) {
      case '-':
        spec.alignment = '<';
        break;
      case '+':
        spec.sign = '+';
        break;
      case ' ':
        spec.sign = spec.sign == '+' ? '+' : ' ';
        break;
      case '#':
        spec.alternate = true;
        break;
      default:
        spec.zeros = true;
    }
  }
  spec.width = read_number();
  if (spec.width < 0) {
    spec.alignment = '<';
    spec.width = -spec.width;
  }
  if (peek() == '.') {
    ++i_;
    spec.precision = std::max<int64_t>(0, read_number());
  }
  while (std::string_view("hlL").find(peek()) != std::string_view::npos) {
    ++i_;
  }
  return spec;
}

void PercentFormatter::convert() {
  std::optional<Value> named;
  if (peek() == '(') {
    named = take_named();
  }
  FormatSpec spec = read_spec();
  char type = peek();
  ++i_;
  if (type == '%') {
    out_ += '%';
    return;
  }
  if (std::string_view("srdiuxXoeEfFgGca").find(type) ==
      std::string_view::npos) {
    fail(fmt::format("%: unsupported format character '{}'", type));
  }
  write(named ? *named : take(), type, spec);
}

void PercentFormatter::write(const Value& value, char type, FormatSpec& spec) {
  switch (type) {
    case 's':
    case 'r':
    case 'a':
    case 'c':
      if (spec.alignment == 0) {
        spec.alignment = '>';
      }
      if (type == 'c') {
        spec.precision.reset();
      }
      out_ += format_text(
          type == 's'       ? to_text(value)
              : type == 'r' ? repr(value)
              : type == 'a' ? repr_ascii(value)
                            : character(value),
          spec);
      return;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (!value.is_number()) {
        fail(fmt::format(
            "%{}: must be a number, not '{}'", type, value.type_name()));
      }
      spec.type = type;
      out_ += format_number(value.number(), spec);
      return;
    default:
      write_integer_of(value, type, spec);
  }
}

void PercentFormatter::write_integer_of(
    const Value& value,
    char type,
    FormatSpec& spec) {
  const bool decimal = type == 'd' || type == 'i' || type == 'u';
  if (decimal ? !value.is_number() : !value.is_integral()) {
    fail(fmt::format(
        "%{}: must be a number, not '{}'", type, value.type_name()));
  }
  spec.type = decimal ? 'd' : type;
  int64_t number =
      value.is(Type::kFloat) ? truncate(value.number()) : value.integer();
  // The precision is the minimum number of digits.
  if (spec.precision) {
    FormatSpec digits = spec;
    digits.sign = '-';
    digits.alignment = 0;
    digits.zeros = true;
    digits.alternate = false;
    digits.width = *spec.precision + (number < 0 ? 1 : 0);
    std::string text = format_number(number, digits);
    std::string before = number < 0 ? "-"
        : spec.sign == '-'          ? ""
                                    : std::string(1, spec.sign);
    before += spec.alternate && !decimal ? std::string("0") + type : "";
    text.erase(0, number < 0 ? 1 : 0);
    auto taken = static_cast<int64_t>(before.size());
    if (spec.zeros && spec.alignment == 0) {
      text = pad(text, spec.width - taken, Alignment::kRight, "0");
    }
    out_ +=
        pad(before + text,
            spec.width,
            spec.alignment == '<' ? Alignment::kLeft : Alignment::kRight);
    return;
  }
  out_ += format_number(number, spec);
}

std::string PercentFormatter::character(const Value& value) {
  if (value.is_string() && count_characters(value.text()) == 1) {
    return value.text();
  }
  if (!value.is_integral()) {
    fail("%c: must be one character or its code");
  }
  return character_of(value.integer());
}

int64_t PercentFormatter::truncate(double value) {
  if (!(value > -9.2e18 && value < 9.2e18)) {
    fail("%d: an integer beyond 64 bits");
  }
  return static_cast<int64_t>(value);
}

} // namespace

std::string format_percent(std::string_view text, const Value& arguments) {
  return PercentFormatter(text, arguments).run();
}

} // namespace accrue::jinja
