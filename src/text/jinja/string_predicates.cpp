// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/builtins.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"
#include "text/unicode_case.h"

namespace accrue::jinja {
namespace {

/// Returns true if all characters of the text are wanted; for an empty text
/// `of_empty`.
template <bool (*is_wanted)(char32_t), bool of_empty = false>
Value all_characters(Runtime&, const Value& self, const Bound&) {
  std::string_view text = self.text();
  if (text.empty()) {
    return of_empty;
  }
  while (!text.empty()) {
    auto [code, length] = unicode::first_character(text);
    if (!is_wanted(code)) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

bool is_alphanumeric(char32_t code) {
  return unicode::is_letter(code) || unicode::is_numeric(code);
}

bool is_ascii_code(char32_t code) {
  return code < 0x80;
}

/// Returns true if some characters have the wanted case and none has another.
template <bool (*is_wanted)(char32_t), bool (*is_other)(char32_t)>
Value has_case(Runtime&, const Value& self, const Bound&) {
  bool found = false;
  for (char32_t code : decode(self.text())) {
    if (is_other(code) || unicode::is_title(code)) {
      return false;
    }
    found = found || is_wanted(code);
  }
  return found;
}

/// Returns true if each run of letters begins with a capital and has no other
/// capital.
Value is_title_text(Runtime&, const Value& self, const Bound&) {
  bool found = false;
  bool in_word = false;
  for (char32_t code : decode(self.text())) {
    const bool capital = unicode::is_upper(code) || unicode::is_title(code);
    const bool small = unicode::is_lower(code);
    if ((capital && in_word) || (small && !in_word)) {
      return false;
    }
    in_word = capital || small;
    found = found || in_word;
  }
  return found;
}

Value is_identifier(Runtime&, const Value& self, const Bound&) {
  bool first = true;
  for (char32_t code : decode(self.text())) {
    bool starts = unicode::is_letter(code) || code == '_';
    if (!starts && (first || !unicode::is_word(code))) {
      return false;
    }
    first = false;
  }
  return !first;
}

constexpr Builtin kStringPredicates[] = {
    {"isalnum", "", all_characters<is_alphanumeric>},
    {"isalpha", "", all_characters<unicode::is_letter>},
    {"isascii", "", all_characters<is_ascii_code, true>},
    {"isdecimal", "", all_characters<unicode::is_decimal>},
    {"isdigit", "", all_characters<unicode::is_digit>},
    {"isidentifier", "", is_identifier},
    {"islower", "", has_case<unicode::is_lower, unicode::is_upper>},
    {"isnumeric", "", all_characters<unicode::is_numeric>},
    {"isprintable", "", all_characters<unicode::is_printable, true>},
    {"isspace", "", all_characters<is_space>},
    {"istitle", "", is_title_text},
    {"isupper", "", has_case<unicode::is_upper, unicode::is_lower>},
};

} // namespace

std::span<const Builtin> string_predicates() {
  return kStringPredicates;
}

} // namespace accrue::jinja
