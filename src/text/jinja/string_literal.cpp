// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/string_literal.h"

#include <fmt/format.h>

#include "text/jinja/lexer.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// Replaces the escapes of a string literal by their characters.
class Unescaper {
 public:
  explicit Unescaper(std::string_view body) : body_(body) {}

  std::string run() {
    while (i_ < body_.size()) {
      if (body_[i_] != '\\') {
        out_ += body_[i_++];
      } else {
        ++i_;
        read_escape();
      }
    }
    return std::move(out_);
  }

 private:
  void read_escape() {
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = body_[i_];
    if (size_t known = kLetters.find(c); known != std::string_view::npos) {
      out_ += kMeanings[known];
      ++i_;
    } else if (c == '\n') { // joins two lines
      ++i_;
    } else if (c >= '0' && c <= '7') {
      read_octal();
    } else if (c == 'x' || c == 'u' || c == 'U') {
      read_hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      throw SyntaxError{"\\N{name} in strings is not supported"};
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      read_beyond_ascii();
    } else {
      out_ += '\\';
      out_ += c;
      ++i_;
    }
  }

  void read_octal() {
    char32_t code = 0;
    for (int k = 0;
         k < 3 && i_ < body_.size() && body_[i_] >= '0' && body_[i_] <= '7';
         ++k) {
      code = code * 8 + static_cast<char32_t>(body_[i_++] - '0');
    }
    unicode::append(out_, code);
  }

  void read_hex(int count) {
    ++i_;
    uint64_t code = 0;
    for (int k = 0; k < count; ++k) {
      int digit = i_ < body_.size() ? hex_digit(body_[i_]) : -1;
      if (digit < 0) {
        throw SyntaxError{"an escape in a string has too few digits"};
      }
      code = code * 16 + static_cast<uint64_t>(digit);
      ++i_;
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      throw SyntaxError{
          fmt::format("the escape U+{:04X} is not a character", code)};
    }
    unicode::append(out_, static_cast<char32_t>(code));
  }

  /// Jinja escapes these characters first, so that the backslash before one
  /// becomes "\\" and the rest of the escape stays text.
  void read_beyond_ascii() {
    auto [code, length] = unicode::first_character(body_.substr(i_));
    auto number = static_cast<uint32_t>(code);
    out_ += code <= 0xFF ? fmt::format("\\x{:02x}", number)
        : code <= 0xFFFF ? fmt::format("\\u{:04x}", number)
                         : fmt::format("\\U{:08x}", number);
    i_ += length;
  }

  std::string_view body_;
  size_t i_ = 0;
  std::string out_;
};

} // namespace

std::string unescape(std::string_view body) {
  return Unescaper(body).run();
}

} // namespace accrue::jinja
