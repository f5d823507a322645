// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

// Case and kinds of characters, as in the methods of Python's str.

namespace accrue::unicode {

/// Letter: category Lu, Ll, Lt, Lm or Lo.
bool is_letter(char32_t code);
/// Decimal digit of any script.
bool is_decimal(char32_t code);
/// Decimal digit, also superscript, subscript or in a circle.
bool is_digit(char32_t code);
/// Number: category Nd, Nl or No.
bool is_numeric(char32_t code);
bool is_upper(char32_t code);
bool is_lower(char32_t code);
/// Digraph whose first letter only is a capital: category Lt.
bool is_title(char32_t code);
/// False for characters that repr() writes as an escape.
bool is_printable(char32_t code);

/// str.upper(), with full mappings: ß becomes SS.
std::string upper_case(std::string_view text);
/// str.lower(), with the final sigma at the ends of words.
std::string lower_case_of_words(std::string_view text);
/// str.capitalize(): the first character in title case, the others lower.
std::string capitalize(std::string_view text);
/// str.title(): each run of letters capitalized.
std::string title_case(std::string_view text);
/// str.swapcase().
std::string swap_case(std::string_view text);
/// str.casefold().
std::string fold_case(std::string_view text);

} // namespace accrue::unicode
