// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/lexer.h"

#include "text/jinja/scanner.h"

namespace accrue::jinja {

std::vector<Token> tokenize(std::string_view source) {
  return Scanner(source).run();
}

std::string describe(const Token& token) {
  using Kind = Token::Kind;
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
