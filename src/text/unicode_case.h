#pragma once

#include <string>
#include <string_view>

// Case and kinds of characters, as methods of Python's str have them.

namespace accrue::unicode {

/// Letter: category Lu, Ll, Lt, Lm or Lo.
bool is_letter(char32_t code);
/// Decimal digit of any script.
bool is_decimal(char32_t code);
/// Decimal digit, or one that is written smaller or in a circle.
bool is_digit(char32_t code);
/// Number: category Nd, Nl or No.
bool is_numeric(char32_t code);
bool is_upper(char32_t code);
bool is_lower(char32_t code);
/// Digraph of which only the first part is a capital: category Lt.
bool is_title(char32_t code);
/// False for what repr() writes as an escape.
bool is_printable(char32_t code);

/// Full mappings: ß becomes SS. str.upper().
std::string upper_case(std::string_view text);
/// With the final sigma where it belongs. str.lower().
std::string lower_case_of_words(std::string_view text);
/// First character in title case, the others lower. str.capitalize().
std::string capitalize(std::string_view text);
/// Each run of letters capitalized. str.title().
std::string title_case(std::string_view text);
/// str.swapcase().
std::string swap_case(std::string_view text);
/// str.casefold().
std::string fold_case(std::string_view text);

} // namespace accrue::unicode
