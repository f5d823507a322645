// SPDX-License-Identifier: Apache-2.0
#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

namespace accrue::unicode {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x80;
  });
}

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

/// Returns the number of bytes at the start that are a valid beginning of a
/// character, at least 1.
size_t broken_length(std::string_view text) {
  unsigned first = static_cast<unsigned char>(text[0]);
  size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 1;
  std::string probe(text.substr(0, 1));
  size_t length = 1;
  while (length < std::min(wanted, text.size()) && continues(text[length])) {
    // The bytes are valid if some continuation makes them a character.
    probe += text[length];
    std::string low = probe;
    std::string high = probe;
    low.resize(wanted, '\x80');
    high.resize(wanted, '\xBF');
    if (character_length(low) == 0 && character_length(high) == 0) {
      break;
    }
    ++length;
  }
  return length;
}

} // namespace

size_t character_length(std::string_view text) {
  auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  auto follows = [&](size_t i) {
    return i < text.size() && continues(text[i]);
  };
  if (text.empty()) {
    return 0;
  }
  unsigned first = byte(0);
  unsigned second = byte(1);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return follows(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    bool overlong = first == 0xE0 && second < 0xA0;
    bool surrogate = first == 0xED && second >= 0xA0;
    return !overlong && !surrogate && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    bool overlong = first == 0xF0 && second < 0x90;
    bool beyond = first == 0xF4 && second >= 0x90;
    bool rest = follows(1) && follows(2) && follows(3);
    return !overlong && !beyond && rest ? 4 : 0;
  }
  return 0;
}

size_t find_invalid(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    size_t length = character_length(text.substr(i));
    if (length == 0) {
      return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

std::string replace_invalid(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    size_t length = character_length(bytes);
    if (length > 0) {
      text += bytes.substr(0, length);
    } else {
      text += "\xEF\xBF\xBD";
      length = broken_length(bytes);
    }
    bytes.remove_prefix(length);
  }
  return text;
}

Character first_character(std::string_view text) {
  utf8proc_int32_t code = 0;
  auto length = utf8proc_iterate(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()),
      &code);
  return {
      static_cast<char32_t>(code),
      length > 0 ? static_cast<size_t>(length) : 1};
}

Character last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && continues(text[begin])) {
    --begin;
  }
  return first_character(text.substr(begin));
}

void append(std::string& text, char32_t code) {
  utf8proc_uint8_t bytes[4];
  auto length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  text.append(
      reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

bool is_space(char32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return (code >= 0x09 && code <= 0x0D) || code == 0x85;
  }
}

std::string_view strip_left(std::string_view text) {
  while (!text.empty() && is_space(first_character(text).code)) {
    text.remove_prefix(first_character(text).length);
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty() && is_space(last_character(text).code)) {
    text.remove_suffix(last_character(text).length);
  }
  return text;
}

bool is_word(char32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

bool is_mark(char32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return true;
    default:
      return false;
  }
}

std::string normalize(std::string_view text, Form form) {
  if (is_ascii(text)) {
    return std::string(text); // the same in every form
  }
  int options = UTF8PROC_STABLE;
  const bool compose = form == Form::kNfc || form == Form::kNfkc;
  options |= compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == Form::kNfkc || form == Form::kNfkd) {
    options |= UTF8PROC_COMPAT;
  }
  utf8proc_uint8_t* made = nullptr;
  auto length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()),
      &made,
      static_cast<utf8proc_option_t>(options));
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(
      made, &std::free);
  if (length < 0) { // the text is valid: only memory can run out
    throw std::bad_alloc();
  }
  return {reinterpret_cast<const char*>(made), static_cast<size_t>(length)};
}

std::string lower_case(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    Character c = first_character(text);
    text.remove_prefix(c.length);
    if (c.code == 0x130) { // İ: its lower case is two characters
      lower += "i\xCC\x87";
    } else {
      append(
          lower,
          static_cast<char32_t>(
              utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))));
    }
  }
  return lower;
}

} // namespace accrue::unicode
