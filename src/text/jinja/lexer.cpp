#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "text/jinja/string_literal.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

using Kind = Token::Kind;

/// Returns the source with "\n" for every end of a line, but without one at the
/// end of the template.
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  return text;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Lexer with the same results as Jinja's, but without regular expressions.
class Lexer {
 public:
  explicit Lexer(std::string_view source)
      : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (i_ < source_.size()) {
      read_data();
    }
    add(Kind::kEnd);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string message) {
    throw SyntaxError{std::move(message), line_at(i_)};
  }

  int line_at(size_t offset) {
    for (; counted_ < offset; ++counted_) {
      line_ += source_[counted_] == '\n' ? 1 : 0;
    }
    return line_;
  }

  Token& add(Kind kind, std::string text = "") {
    return tokens_.emplace_back(
        Token{.kind = kind, .text = std::move(text), .line = line_at(i_)});
  }

  bool starts(std::string_view text) const {
    return std::string_view(source_).substr(i_).starts_with(text);
  }

  bool take(std::string_view text) {
    bool found = starts(text);
    i_ += found ? text.size() : 0;
    return found;
  }

  void skip_space() {
    i_ = source_.size() -
        strip_left(std::string_view(source_).substr(i_)).size();
  }

  /// Reads the text up to the next tag, and that tag.
  void read_data() {
    size_t begin = i_;
    size_t tag = find_tag(begin);
    std::string_view data(source_.data() + begin, tag - begin);
    if (tag == source_.size()) {
      add_data(data);
      i_ = tag;
      return;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    add_data(strip_before_tag(data, kind, sign));
    i_ = tag;
    if (kind == '%' && take_raw_tag("raw")) {
      read_raw();
    } else if (kind == '#') {
      read_comment();
    } else {
      read_tag(kind == '{');
    }
    line_starting_ = source_[i_ - 1] == '\n';
  }

  size_t find_tag(size_t from) const {
    for (size_t i = source_.find('{', from); i != std::string::npos;
         i = source_.find('{', i + 1)) {
      char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') {
        return i;
      }
    }
    return source_.size();
  }

  void add_data(std::string_view data) {
    if (!data.empty()) {
      add(Kind::kData, std::string(data));
    }
  }

  /// Returns the text before a tag without the white space that "-" in the tag,
  /// or lstrip_blocks, removes.
  std::string_view strip_before_tag(std::string_view data, char kind, char sign)
      const {
    if (sign == '-') {
      return strip_right(data);
    }
    if (sign == '+' || kind == '{') {
      return data;
    }
    size_t line = data.rfind('\n') + 1; // 0 if there is none
    bool only_space = strip_left(data.substr(line)).empty();
    return (line > 0 || line_starting_) && only_space ? data.substr(0, line)
                                                      : data;
  }

  /// Reads {% raw %} or {% endraw %}, and the white space that its "-" removes.
  /// Returns false and reads nothing if there is another tag.
  bool take_raw_tag(std::string_view name) {
    size_t begin = i_;
    i_ += 2;
    if (starts("-") || starts("+")) {
      ++i_;
    }
    skip_space();
    if (take(name)) {
      skip_space();
      const bool ends = name == "raw" ? take("%}") || take_stripping("-%}")
                                      : take_block_end();
      if (ends) {
        return true;
      }
    }
    i_ = begin;
    return false;
  }

  bool take_stripping(std::string_view text) {
    bool found = take(text);
    if (found) {
      skip_space();
    }
    return found;
  }

  bool take_block_end() {
    if (take("+%}") || take_stripping("-%}")) {
      return true;
    }
    if (take("%}")) {
      take("\n"); // trim_blocks
      return true;
    }
    return false;
  }

  void read_raw() {
    // The text before the end tag is stripped like text before any tag.
    line_starting_ = source_[i_ - 1] == '\n';
    size_t begin = i_;
    for (size_t tag = source_.find("{%", i_); tag != std::string::npos;
         tag = source_.find("{%", tag + 2)) {
      char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      i_ = tag;
      if (take_raw_tag("endraw")) {
        std::string_view data(source_.data() + begin, tag - begin);
        size_t end = i_;
        i_ = begin;
        add_data(strip_before_tag(data, '%', sign));
        i_ = end;
        return;
      }
    }
    i_ = begin;
    if (begin < source_.size()) { // Jinja accepts an empty one
      fail("the raw block is not closed");
    }
  }

  void read_comment() {
    const size_t tag = i_;
    i_ += 2;
    if (starts("-") || starts("+")) {
      ++i_;
    }
    const size_t begin = i_;
    const size_t end = source_.find("#}", begin);
    if (end == std::string::npos) {
      i_ = tag;
      fail("the comment is not closed");
    }
    const char sign = end > begin ? source_[end - 1] : '\0';
    i_ = end + 2;
    if (sign == '-') {
      skip_space();
    } else if (sign != '+') {
      take("\n"); // trim_blocks
    }
  }

  void read_tag(bool is_output) {
    add(is_output ? Kind::kOutputBegin : Kind::kBlockBegin);
    i_ += 2;
    if (starts("-") || starts("+")) {
      ++i_;
    }
    std::string open; // closing brackets that are still to come
    while (i_ < source_.size()) {
      size_t begin = i_;
      if (open.empty()) {
        bool ends =
            is_output ? take_stripping("-}}") || take("}}") : take_block_end();
        if (ends) {
          std::swap(i_, begin);
          add(is_output ? Kind::kOutputEnd : Kind::kBlockEnd);
          i_ = begin;
          return;
        }
      }
      skip_space();
      if (i_ == begin) {
        read_token(open);
      }
    }
  }

  void read_token(std::string& open) {
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

  size_t name_length() const {
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

  /// Returns the end of the digits at `i`, which may have single underscores
  /// between them.
  size_t skip_digits(size_t i) const {
    auto at = [&](size_t k) { return k < source_.size() ? source_[k] : '\0'; };
    if (!is_digit(at(i))) {
      return i;
    }
    while (is_digit(at(i)) || (at(i) == '_' && is_digit(at(i + 1)))) {
      ++i;
    }
    return i;
  }

  void read_number() {
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

  void read_integer() {
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

  void read_string() {
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

  void read_operator(std::string& open) {
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
      fail(
          fmt::format("unexpected character '{}'", source_.substr(i_, length)));
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

  const std::string source_;
  std::vector<Token> tokens_;
  size_t i_ = 0;
  bool line_starting_ = true;
  size_t counted_ = 0; // bytes before which line_ counts newlines
  int line_ = 1;
};

} // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case Kind::kData:
      return "text";
    case Kind::kOutputBegin:
      return "'{{'";
    case Kind::kOutputEnd:
      return "'}}'";
    case Kind::kBlockBegin:
      return "'{%'";
    case Kind::kBlockEnd:
      return "'%}'";
    case Kind::kString:
      return "a string";
    case Kind::kInteger:
    case Kind::kFloat:
      return "a number";
    case Kind::kEnd:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

} // namespace accrue::jinja
