// SPDX-License-Identifier: Apache-2.0
#include "text/unicode_case.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>
#include <utility>

#include "text/unicode.h"

namespace accrue::unicode {
namespace {

utf8proc_category_t category_of(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

using CodeRange = std::pair<char32_t, char32_t>;

template <size_t N>
bool is_among(const CodeRange (&ranges)[N], char32_t code) {
  return std::any_of(
      std::begin(ranges), std::end(ranges), [code](const CodeRange& range) {
        return range.first <= code && code <= range.second;
      });
}

/// Returns true if the capital form has several characters, unless there is
/// also a simple one: ß, ligatures, Greek letters with marks.
bool has_long_capital(char32_t code) {
  static constexpr CodeRange kRanges[] = {
      {0xDF, 0xDF},
      {0x149, 0x149},
      {0x1F0, 0x1F0},
      {0x390, 0x390},
      {0x3B0, 0x3B0},
      {0x587, 0x587},
      {0x1E96, 0x1E9A},
      {0x1F50, 0x1F56},
      {0x1F80, 0x1FFC},
      {0xFB00, 0xFB17}};
  return is_among(kRanges, code);
}

char32_t simple_upper(char32_t code) {
  return static_cast<char32_t>(
      utf8proc_toupper(static_cast<utf8proc_int32_t>(code)));
}

char32_t simple_lower(char32_t code) {
  return static_cast<char32_t>(
      utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

template <class Visit>
void for_each_character(std::string_view text, Visit visit) {
  while (!text.empty()) {
    Character c = first_character(text);
    text.remove_prefix(c.length);
    visit(c.code);
  }
}

std::string character(char32_t code) {
  std::string text;
  append(text, code);
  return text;
}

void append_upper(std::string& out, char32_t code) {
  constexpr char32_t kIotaBelow = 0x345;
  if (code == 0xDF) {
    out += "SS";
    return;
  }
  if (!has_long_capital(code)) {
    return append(out, simple_upper(code));
  }
  bool has_iota = false;
  std::string capitals;
  int count = 0;
  for_each_character(
      normalize(character(code), Form::kNfkd), [&](char32_t part) {
        has_iota = has_iota || part == kIotaBelow;
        append(capitals, simple_upper(part));
        ++count;
      });
  if (has_iota) {
    out += normalize(capitals, Form::kNfc);
  } else if (simple_upper(code) == code && is_lower(code) && count > 1) {
    out += capitals;
  } else {
    append(out, simple_upper(code));
  }
}

void append_title(std::string& out, char32_t code) {
  auto title = static_cast<char32_t>(
      utf8proc_totitle(static_cast<utf8proc_int32_t>(code)));
  if (code == 0xDF) {
    out += "Ss";
  } else if (title == code && has_long_capital(code) && is_lower(code)) {
    bool first = true;
    for_each_character(
        normalize(character(code), Form::kNfkd), [&](char32_t part) {
          append(out, std::exchange(first, false) ? simple_upper(part) : part);
        });
  } else {
    append(out, title);
  }
}

bool is_cased(char32_t code) {
  return is_upper(code) || is_lower(code) || is_title(code);
}

/// Returns true for characters that do not show whether a word continues:
/// Case_Ignorable.
bool is_ignored_by_case(char32_t code) {
  switch (category_of(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return code == '\'' || code == '.' || code == ':' || code == 0xB7 ||
          code == 0x2019;
  }
}

/// Appends a character in lower case. `before` and `after` are the texts around
/// it.
void append_lower(
    std::string& out,
    char32_t code,
    std::string_view before,
    std::string_view after) {
  if (code == 0x130) {
    out += "i\xCC\x87";
    return;
  }
  if (code != 0x3A3) {
    return append(out, simple_lower(code));
  }
  while (!before.empty() && is_ignored_by_case(last_character(before).code)) {
    before.remove_suffix(last_character(before).length);
  }
  while (!after.empty() && is_ignored_by_case(first_character(after).code)) {
    after.remove_prefix(first_character(after).length);
  }
  bool ends_word = !before.empty() && is_cased(last_character(before).code) &&
      (after.empty() || !is_cased(first_character(after).code));
  append(out, ends_word ? 0x3C2 : 0x3C3);
}

/// Calls visit(out, code, before, after) for every character and returns what
/// it appends to `out`.
template <class Visit>
std::string map_characters(std::string_view text, Visit visit) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    Character c = first_character(text.substr(i));
    visit(out, c.code, text.substr(0, i), text.substr(i + c.length));
    i += c.length;
  }
  return out;
}

} // namespace

bool is_letter(char32_t code) {
  switch (category_of(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return true;
    default:
      return false;
  }
}

bool is_decimal(char32_t code) {
  return category_of(code) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t code) {
  static constexpr CodeRange kRanges[] = {
      {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},
      {0x19DA, 0x19DA},   {0x2070, 0x2070},   {0x2074, 0x2079},
      {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},
      {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
      {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
      {0x278A, 0x2792},   {0x10A40, 0x10A43}, {0x10E60, 0x10E68},
      {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
  return is_decimal(code) || is_among(kRanges, code);
}

bool is_numeric(char32_t code) {
  switch (category_of(code)) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return true;
    default:
      return false;
  }
}

bool is_upper(char32_t code) {
  static constexpr CodeRange kRanges[] = {
      {0x2160, 0x216F},
      {0x24B6, 0x24CF},
      {0x1F130, 0x1F149},
      {0x1F150, 0x1F169},
      {0x1F170, 0x1F189}};
  return category_of(code) == UTF8PROC_CATEGORY_LU || is_among(kRanges, code);
}

bool is_lower(char32_t code) {
  static constexpr CodeRange kRanges[] = {
      {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},
      {0x2C0, 0x2C1},     {0x2E0, 0x2E4},     {0x345, 0x345},
      {0x37A, 0x37A},     {0x1D2C, 0x1D6A},   {0x1D78, 0x1D78},
      {0x1D9B, 0x1DBF},   {0x2071, 0x2071},   {0x207F, 0x207F},
      {0x2090, 0x209C},   {0x2170, 0x217F},   {0x24D0, 0x24E9},
      {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},
      {0xA7F8, 0xA7F9},   {0xAB5C, 0xAB5F},   {0x10780, 0x10780},
      {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};
  return category_of(code) == UTF8PROC_CATEGORY_LL || is_among(kRanges, code);
}

bool is_title(char32_t code) {
  return category_of(code) == UTF8PROC_CATEGORY_LT;
}

bool is_printable(char32_t code) {
  switch (category_of(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return code == ' ';
    default:
      return true;
  }
}

std::string upper_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t code) { append_upper(out, code); });
  return out;
}

std::string lower_case_of_words(std::string_view text) {
  return map_characters(text, append_lower);
}

std::string capitalize(std::string_view text) {
  return map_characters(
      text, [](std::string& out, char32_t code, auto before, auto after) {
        before.empty() ? append_title(out, code)
                       : append_lower(out, code, before, after);
      });
}

std::string title_case(std::string_view text) {
  bool in_word = false;
  return map_characters(
      text, [&](std::string& out, char32_t code, auto before, auto after) {
        in_word ? append_lower(out, code, before, after)
                : append_title(out, code);
        in_word = is_cased(code);
      });
}

std::string swap_case(std::string_view text) {
  return map_characters(
      text, [](std::string& out, char32_t code, auto before, auto after) {
        if (is_upper(code)) {
          append_lower(out, code, before, after);
        } else if (is_lower(code)) {
          append_upper(out, code);
        } else {
          append(out, code);
        }
      });
}

std::string fold_case(std::string_view text) {
  utf8proc_uint8_t* made = nullptr;
  auto length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()),
      &made,
      UTF8PROC_CASEFOLD);
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(
      made, &std::free);
  if (length < 0) { // the text is valid: only memory can run out
    throw std::bad_alloc();
  }
  return {reinterpret_cast<const char*>(made), static_cast<size_t>(length)};
}

} // namespace accrue::unicode
