// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// UTF-8 and properties of characters that tokenizers need.

namespace accrue::unicode {

/// Character ▁, which stands for a space in tokens of SentencePiece.
inline constexpr const char* kMetaspace = "\xE2\x96\x81";

/// Returns the length in bytes of the valid character at the start of `text`, 0
/// if there is none. Unicode 15, table 3-7.
size_t character_length(std::string_view text);

/// Returns true for a byte that continues a character.
inline bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// Returns the offset of the first byte that is not valid UTF-8, or npos.
size_t find_invalid(std::string_view text);

/// Replaces invalid parts by U+FFFD, one for each maximal part, as Unicode 15
/// section 3.9 recommends.
std::string replace_invalid(std::string_view bytes);

/// A character.
struct Character {
  char32_t code = 0;
  size_t length = 0; // in bytes
};
/// Return the first (last) character of valid text that is not empty.
Character first_character(std::string_view text);
Character last_character(std::string_view text);

/// Appends a character.
void append(std::string& text, char32_t code);

/// Returns true for the property White_Space of Unicode.
bool is_space(char32_t code);
/// Remove characters with is_space() from the start (end).
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
/// Returns true for a letter, mark, digit or connector: \w of regular
/// expressions.
bool is_word(char32_t code);
/// Returns true for a mark that combines with the character before.
bool is_mark(char32_t code);

/// Normalization form of Unicode (annex 15).
enum class Form { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize(std::string_view text, Form form);
std::string lower_case(std::string_view text);

} // namespace accrue::unicode
