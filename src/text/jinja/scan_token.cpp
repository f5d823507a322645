// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "text/jinja/scanner.h"
#include "text/jinja/string_literal.h"
#include "text/unicode.h"

// Tokens within tags: names, numbers, strings and operators.

namespace accrue::jinja {
namespace {

using Kind = Token::Kind;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

} // namespace

void Scanner::read_token(std::string& open) {
  const char c = source_[i_];
  if (is_digit(c)) {
    read_number();
  } else if (c == '\'' || c == '"') {
    read_string();
  } else if (size_t length = name_length(); length > 0) {
    add(Kind::kName, source_.substr(i_, length));
    i_ += length;
  } else {
    read_operator(open);
  }
}

size_t Scanner::name_length() const {
  size_t i = i_;
  while (i < source_.size()) {
    auto [code, length] =
        unicode::first_character(std::string_view(source_).substr(i));
    if (!unicode::is_word(code)) {
      break;
    }
    i += length;
  }
  return i - i_;
}

size_t Scanner::skip_digits(size_t i) const {
  auto at = [&](size_t k) { return k < source_.size() ? source_[k] : '\0'; };
  if (!is_digit(at(i))) {
    return i;
  }
  while (is_digit(at(i)) || (at(i) == '_' && is_digit(at(i + 1)))) {
    ++i;
  }
  return i;
}

void Scanner::read_number() {
  size_t whole = skip_digits(i_);
  size_t end = whole;
  auto at = [&](size_t k) { return k < source_.size() ? source_[k] : '\0'; };
  if (at(end) == '.' && is_digit(at(end + 1))) {
    end = skip_digits(end + 1);
  }
  if (at(end) == 'e' || at(end) == 'E') {
    size_t digits = end + (at(end + 1) == '+' || at(end + 1) == '-' ? 2 : 1);
    end = is_digit(at(digits)) ? skip_digits(digits) : end;
  }
  // After a dot a number is the index of an element: a.0.1
  if (end > whole && (i_ == 0 || source_[i_ - 1] != '.')) {
    std::string text = source_.substr(i_, end - i_);
    std::erase(text, '_');
    add(Kind::kFloat).number = std::strtod(text.c_str(), nullptr);
    i_ = end;
    return;
  }
  read_integer();
}

void Scanner::read_integer() {
  size_t digits = i_;
  int base = 10;
  if (source_[i_] == '0' && i_ + 1 < source_.size()) {
    const char kind = static_cast<char>(source_[i_ + 1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
  }
  digits += base == 10 ? 0 : 2;
  auto fits = [&](size_t k) {
    const char c = k < source_.size() ? source_[k] : '\0';
    int digit = is_digit(c)                      ? c - '0'
        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                 : 99;
    // After a leading zero only zeros may follow: 007 is 00 and 7.
    return digit < base && (base != 10 || source_[i_] != '0' || digit == 0);
  };
  size_t end = digits;
  while (fits(end) ||
         (end < source_.size() && source_[end] == '_' && fits(end + 1) &&
          (end > digits || base != 10))) {
    ++end;
  }
  if (end == digits) { // 0x without digits is the number 0
    base = 10;
    digits = i_;
    end = i_ + 1;
  }
  std::string text = source_.substr(digits, end - digits);
  std::erase(text, '_');
  int64_t value = 0;
  auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) {
    fail(fmt::format("the integer {} is beyond 64 bits", text));
  }
  add(Kind::kInteger).integer = value;
  i_ = end;
}

void Scanner::read_string() {
  const char quote = source_[i_];
  size_t end = i_ + 1;
  while (end < source_.size() && source_[end] != quote) {
    end += source_[end] == '\\' ? 2 : 1;
  }
  if (end >= source_.size()) {
    fail("the string is not closed");
  }
  std::string_view body(source_.data() + i_ + 1, end - i_ - 1);
  try {
    add(Kind::kString, unescape(body));
  } catch (const SyntaxError& error) {
    fail(error.message);
  }
  i_ = end + 1;
}

void Scanner::read_operator(std::string& open) {
  static constexpr std::string_view kOperators[] = {
      "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  const auto* found = std::find_if(
      std::begin(kOperators),
      std::end(kOperators),
      [this](std::string_view text) { return starts(text); });
  if (found == std::end(kOperators)) {
    size_t length =
        unicode::first_character(std::string_view(source_).substr(i_)).length;
    fail(fmt::format("unexpected character '{}'", source_.substr(i_, length)));
  }
  const char c = (*found)[0];
  if (c == '(' || c == '[' || c == '{') {
    open += c == '(' ? ')' : c == '[' ? ']' : '}';
  } else if (c == ')' || c == ']' || c == '}') {
    if (open.empty() || open.back() != c) {
      fail(fmt::format("unexpected '{}'", c));
    }
    open.pop_back();
  }
  add(Kind::kOperator, std::string(*found));
  i_ += found->size();
}

} // namespace accrue::jinja
