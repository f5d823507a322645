// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {

/// Lexer of templates with the same results as Jinja's, but without regular
/// expressions.
class Scanner {
 public:
  explicit Scanner(std::string_view source);

  std::vector<Token> run();

 private:
  [[noreturn]] void fail(std::string message) {
    throw SyntaxError{std::move(message), line_at(i_)};
  }

  int line_at(size_t offset);

  Token& add(Token::Kind kind, std::string text = "") {
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
  void read_data();
  size_t find_tag(size_t from) const;

  void add_data(std::string_view data) {
    if (!data.empty()) {
      add(Token::Kind::kData, std::string(data));
    }
  }

  /// Returns the text before a tag without the white space that "-" in the tag,
  /// or lstrip_blocks, removes.
  std::string_view strip_before_tag(std::string_view data, char kind, char sign)
      const;

  /// Reads {% raw %} or {% endraw %}, and the white space that its "-" removes.
  /// Returns false and reads nothing if there is another tag.
  bool take_raw_tag(std::string_view name);
  bool take_stripping(std::string_view text);
  bool take_block_end();
  void read_raw();
  void read_comment();
  void read_tag(bool is_output);
  void read_token(std::string& open);
  size_t name_length() const;

  /// Returns the end of the digits at `i`, which may have single underscores
  /// between them.
  size_t skip_digits(size_t i) const;
  void read_number();
  void read_integer();
  void read_string();
  void read_operator(std::string& open);

  const std::string source_;
  std::vector<Token> tokens_;
  size_t i_ = 0;
  bool line_starting_ = true;
  size_t counted_ = 0; // bytes before which line_ counts newlines
  int line_ = 1;
};

} // namespace accrue::jinja
