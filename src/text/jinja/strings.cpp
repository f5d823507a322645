// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/strings.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/value.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

bool is_line_end(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) ||
      code == 0x85 || code == 0x2028 || code == 0x2029;
}

template <class Drop>
std::string_view drop_left(std::string_view text, Drop drop) {
  while (!text.empty()) {
    auto [code, length] = unicode::first_character(text);
    if (!drop(code, text.substr(0, length))) {
      break;
    }
    text.remove_prefix(length);
  }
  return text;
}

template <class Drop>
std::string_view drop_right(std::string_view text, Drop drop) {
  while (!text.empty()) {
    auto [code, length] = unicode::last_character(text);
    if (!drop(code, text.substr(text.size() - length))) {
      break;
    }
    text.remove_suffix(length);
  }
  return text;
}

bool drop_space(char32_t code, std::string_view) {
  return is_space(code);
}

} // namespace

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return !unicode::continues(c); }));
}

size_t offset_of(std::string_view text, size_t index) {
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (!unicode::continues(text[i]) && index-- == 0) {
      break;
    }
  }
  return i;
}

std::string_view characters(std::string_view text, size_t begin, size_t end) {
  text.remove_prefix(offset_of(text, begin));
  return text.substr(0, offset_of(text, end - begin));
}

std::string character_at(std::string_view text, size_t index) {
  return std::string(characters(text, index, index + 1));
}

std::u32string decode(std::string_view text) {
  std::u32string codes;
  while (!text.empty()) {
    auto [code, length] = unicode::first_character(text);
    codes += code;
    text.remove_prefix(length);
  }
  return codes;
}

std::string encode(std::u32string_view codes) {
  std::string text;
  for (char32_t code : codes) {
    unicode::append(text, code);
  }
  return text;
}

bool is_space(char32_t code) {
  return unicode::is_space(code) || (code >= 0x1C && code <= 0x1F);
}

std::string_view strip_left(std::string_view text) {
  return drop_left(text, drop_space);
}

std::string_view strip_right(std::string_view text) {
  return drop_right(text, drop_space);
}

std::string_view strip_left(std::string_view text, std::string_view these) {
  return drop_left(text, [these](char32_t, std::string_view character) {
    return these.find(character) != std::string_view::npos;
  });
}

std::string_view strip_right(std::string_view text, std::string_view these) {
  return drop_right(text, [these](char32_t, std::string_view character) {
    return these.find(character) != std::string_view::npos;
  });
}

std::vector<std::string_view> split_lines(
    std::string_view text,
    bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    auto [code, length] = unicode::first_character(text.substr(i));
    size_t end = i;
    i += length;
    if (is_line_end(code)) {
      if (code == '\r' && i < text.size() && text[i] == '\n') {
        ++i;
      }
      lines.push_back(text.substr(begin, (keep_ends ? i : end) - begin));
      check_weight(lines.size());
      begin = i;
    }
  }
  if (begin < text.size()) {
    lines.push_back(text.substr(begin));
  }
  return lines;
}

std::vector<std::string_view> split_words(
    std::string_view text,
    int64_t most,
    bool from_right) {
  std::vector<std::string_view> words;
  auto strip = [&] {
    text = from_right ? strip_right(text) : strip_left(text);
  };
  for (strip(); !text.empty(); strip()) {
    if (most >= 0 && static_cast<int64_t>(words.size()) == most) {
      words.push_back(text); // white space at its far end stays
      break;
    }
    auto in_word = [](char32_t code, std::string_view) {
      return !is_space(code);
    };
    std::string_view rest =
        from_right ? drop_right(text, in_word) : drop_left(text, in_word);
    size_t length = text.size() - rest.size();
    words.push_back(
        from_right ? text.substr(rest.size()) : text.substr(0, length));
    text = rest;
    check_weight(words.size());
  }
  if (from_right) {
    std::reverse(words.begin(), words.end());
  }
  return words;
}

std::vector<std::string_view> split_at(
    std::string_view text,
    std::string_view separator,
    int64_t most,
    bool from_right) {
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == std::string_view::npos) {
      break;
    }
    if (from_right) {
      parts.push_back(text.substr(found + separator.size()));
      text = text.substr(0, found);
    } else {
      parts.push_back(text.substr(0, found));
      text.remove_prefix(found + separator.size());
    }
    check_weight(parts.size());
  }
  parts.push_back(text);
  if (from_right) {
    std::reverse(parts.begin(), parts.end());
  }
  return parts;
}

std::string replace(
    std::string_view text,
    std::string_view old,
    std::string_view by,
    int64_t most) {
  std::string result;
  auto left = [&] { return most < 0 || most-- > 0; };
  if (old.empty()) { // insert before every character and at the end
    while (left()) {
      check_length(result.size() + by.size());
      result += by;
      if (text.empty()) {
        return result;
      }
      size_t length = unicode::first_character(text).length;
      result += text.substr(0, length);
      text.remove_prefix(length);
    }
    return result.append(text);
  }
  size_t found = 0;
  while ((found = text.find(old)) != std::string_view::npos && left()) {
    check_length(result.size() + found + by.size());
    result += text.substr(0, found);
    result += by;
    text.remove_prefix(found + old.size());
  }
  return result.append(text);
}

std::string pad(
    std::string_view text,
    int64_t width,
    Alignment alignment,
    std::string_view fill) {
  auto length = static_cast<int64_t>(count_characters(text));
  if (width <= length) {
    return std::string(text);
  }
  check_length(static_cast<uint64_t>(width));
  int64_t missing = width - length;
  int64_t before = alignment == Alignment::kLeft ? 0
      : alignment == Alignment::kRight           ? missing
                                       : missing / 2 + (missing & width & 1);
  std::string result;
  for (int64_t i = 0; i < before; ++i) {
    result += fill;
  }
  result += text;
  for (int64_t i = before; i < missing; ++i) {
    result += fill;
  }
  return result;
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&#34;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

void check_length(uint64_t bytes) {
  if (bytes > kMaxTextBytes) {
    fail(fmt::format("a text of more than {} MiB", kMaxTextBytes >> 20));
  }
}

} // namespace accrue::jinja
