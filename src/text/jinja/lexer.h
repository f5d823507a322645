// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace accrue::jinja {

/// A token of a template.
struct Token {
  enum class Kind {
    kData, // text outside of tags
    kOutputBegin, // {{
    kOutputEnd,
    kBlockBegin, // {%
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd, // end of the template
  };
  Kind kind;
  std::string text; // source text; of a string its value
  int64_t integer = 0; // value of a kInteger
  double number = 0; // value of a kFloat
  int line = 0;
};

/// Error in the text of a template.
struct SyntaxError {
  std::string message;
  int line = 0;
};

/// Splits a template into tokens with the settings of transformers:
/// trim_blocks, lstrip_blocks, and one newline at the end removed. Throws
/// SyntaxError.
std::vector<Token> tokenize(std::string_view source);

/// Describes a token for messages: "'endfor'", "a string", ….
std::string describe(const Token& token);

} // namespace accrue::jinja
