// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/regex.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <new>

#include "accrue/core/error.h"

namespace accrue {

struct CompiledRegex {
  pcre2_code* code = nullptr;
  std::string pattern;

  CompiledRegex() = default;
  CompiledRegex(const CompiledRegex&) = delete;
  CompiledRegex& operator=(const CompiledRegex&) = delete;
  ~CompiledRegex() {
    pcre2_code_free(code);
  }
};

struct MatchMemory {
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;

  MatchMemory() = default;
  MatchMemory(const MatchMemory&) = delete;
  MatchMemory& operator=(const MatchMemory&) = delete;
  ~MatchMemory() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

namespace {

constexpr size_t kStackBytes = size_t{64} << 20; // maximum size of the stack

/// White_Space of Unicode, as part of a class in brackets.
constexpr std::string_view kSpaces =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
    R"(\x{202f}\x{205f}\x{3000})";

std::string message_of(int code) {
  std::array<char, 256> text{};
  pcre2_get_error_message(
      code, reinterpret_cast<PCRE2_UCHAR*>(text.data()), text.size());
  return text.data();
}

/// Translates a pattern from Oniguruma to PCRE2. PCRE2's \s also contains
/// U+180E, Oniguruma's does not. Inside a class "&&" is Oniguruma's
/// intersection and "[" opens a nested class; PCRE2 takes both literally.
std::string translate(const std::string& pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\' && next != '\0') {
      ++i;
      if (next == 's') {
        out += in_class ? std::string(kSpaces) : fmt::format("[{}]", kSpaces);
      } else if (next == 'S' && !in_class) {
        out += fmt::format("[^{}]", kSpaces);
      } else {
        out += {c, next};
      }
      continue;
    }
    if (in_class && c == '&' && next == '&') {
      throw DataError("intersections of classes (&&) are not supported");
    }
    if (in_class && c == '[' && next != ':') {
      throw DataError("classes inside classes are not supported");
    }
    if (in_class && c == '[') { // [:alpha:]
      size_t end = pattern.find(":]", i + 2);
      if (end != std::string::npos) {
        out += pattern.substr(i, end + 2 - i);
        i = end + 1;
        continue;
      }
    }
    out += c;
    if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      if (next == '^') {
        out += pattern[++i];
        next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
      }
      if (next == ']') { // first in a class: literal
        out += pattern[++i];
      }
    }
  }
  return out;
}

} // namespace

void Regex::compile(const std::string& pattern, unsigned options) {
  auto made = std::make_shared<CompiledRegex>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  made->pattern = pattern;
  made->code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()),
      pattern.size(),
      options | PCRE2_UTF,
      &error,
      &offset,
      nullptr);
  if (made->code == nullptr) {
    throw DataError(
        fmt::format("{} at character {}", message_of(error), offset));
  }
  // Without the just-in-time compiler matching gives the same results, but is
  // slower.
  pcre2_jit_compile(made->code, PCRE2_JIT_COMPLETE);
  compiled_ = std::move(made);
}

Regex::Regex(const std::string& pattern) {
  compile(translate(pattern), PCRE2_UCP);
}

Regex Regex::literal(const std::string& text) {
  Regex regex;
  regex.compile(text, PCRE2_LITERAL);
  return regex;
}

Regex::Matcher::Matcher(const Regex& regex)
    : regex_(regex.compiled_), memory_(std::make_unique<MatchMemory>()) {
  memory_->data = pcre2_match_data_create_from_pattern(regex_->code, nullptr);
  memory_->context = pcre2_match_context_create(nullptr);
  memory_->stack = pcre2_jit_stack_create(32 << 10, kStackBytes, nullptr);
  if (memory_->data == nullptr || memory_->context == nullptr) {
    throw std::bad_alloc();
  }
  pcre2_jit_stack_assign(memory_->context, nullptr, memory_->stack);
}

Regex::Matcher::Matcher(Matcher&&) noexcept = default;
Regex::Matcher::~Matcher() = default;

bool Regex::Matcher::find(std::string_view text, size_t from, Match& match) {
  int result = pcre2_match(
      regex_->code,
      reinterpret_cast<PCRE2_SPTR>(text.data()),
      text.size(),
      from,
      PCRE2_NO_UTF_CHECK,
      memory_->data,
      memory_->context);
  if (result == PCRE2_ERROR_NOMATCH) {
    return false;
  }
  if (result < 0) {
    throw DataError(fmt::format(
        "[tokenizer] the pattern {} gave up at byte {} of a text of {}: {}. "
        "Split the text into shorter documents.",
        regex_->pattern,
        from,
        text.size(),
        message_of(result)));
  }
  const PCRE2_SIZE* where = pcre2_get_ovector_pointer(memory_->data);
  // A \K after the end of the match would make it end before it begins.
  match = {where[0], std::max(where[0], where[1])};
  return true;
}

} // namespace accrue
