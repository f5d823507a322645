// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/parser.h"

#include <fmt/format.h>

namespace accrue::jinja {

const Token& Parser::next() {
  const Token& token = tokens_[i_];
  i_ = std::min(i_ + 1, tokens_.size() - 1);
  return token;
}

bool Parser::is_operator(std::string_view text) const {
  return current().kind == Kind::kOperator && current().text == text;
}

bool Parser::is_name(std::string_view text) const {
  return current().kind == Kind::kName && current().text == text;
}

bool Parser::skip_operator(std::string_view text) {
  bool found = is_operator(text);
  i_ += found ? 1 : 0;
  return found;
}

bool Parser::skip_name(std::string_view text) {
  bool found = is_name(text);
  i_ += found ? 1 : 0;
  return found;
}

void Parser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) {
    fail(fmt::format("expected '{}', got {}", text, describe(current())));
  }
}

void Parser::expect_name(std::string_view text) {
  if (!skip_name(text)) {
    fail(fmt::format("expected '{}', got {}", text, describe(current())));
  }
}

std::string Parser::expect_any_name() {
  if (current().kind != Kind::kName) {
    fail(fmt::format("expected a name, got {}", describe(current())));
  }
  return next().text;
}

void Parser::expect(Kind kind, const char* what) {
  if (current().kind != kind) {
    fail(fmt::format("expected '{}', got {}", what, describe(current())));
  }
  next();
}

void Parser::fail(std::string message) const {
  fail(std::move(message), current().line);
}

void Parser::fail(std::string message, int line) const {
  throw SyntaxError{std::move(message), line};
}

} // namespace accrue::jinja
