#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace accrue::jinja {

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
    kEnd, // of the template
  };
  Kind kind;
  std::string text; // of a string: its value
  int64_t integer = 0;
  double number = 0;
  int line = 0;
};

/// Thrown for what is wrong in a template's text.
struct SyntaxError {
  std::string message;
  int line = 0;
};

/// Cuts a template into tokens, with the environment of transformers:
/// trim_blocks, lstrip_blocks, one newline at the end dropped. Throws
/// SyntaxError.
std::vector<Token> tokenize(std::string_view source);

/// "'endfor'", "end of print statement", … for messages.
std::string describe(const Token& token);

} // namespace accrue::jinja
