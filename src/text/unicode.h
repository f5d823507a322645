#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// UTF-8 and the properties of Unicode that tokenizers ask for.

namespace accrue::unicode {

/// ▁, which stands for a space in SentencePiece's tokens.
inline constexpr const char* kMetaspace = "\xE2\x96\x81";

/// Length in bytes of the valid character at the start of `text`, 0 if there
/// is none. Unicode 15, table 3-7.
size_t character_length(std::string_view text);

/// True for a byte that continues a character.
inline bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// Offset of the first byte that is not valid UTF-8, or npos.
size_t find_invalid(std::string_view text);

/// Invalid parts become U+FFFD, one per maximal part as Unicode 15 section 3.9
/// recommends.
std::string replace_invalid(std::string_view bytes);

/// The first (last) character of valid, not empty text, and its length.
struct Character {
  char32_t code = 0;
  size_t length = 0;
};
Character first_character(std::string_view text);
Character last_character(std::string_view text);

/// Appends a character.
void append(std::string& text, char32_t code);

/// White_Space of Unicode.
bool is_space(char32_t code);
/// Letter, mark, digit or connector: what regular expressions call \w.
bool is_word(char32_t code);
/// A mark that combines with the character before.
bool is_mark(char32_t code);

enum class Form { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize(std::string_view text, Form form);
std::string lower_case(std::string_view text);

} // namespace accrue::unicode
