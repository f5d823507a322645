// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Operations of Python's strings, which are sequences of characters, on UTF-8.

namespace accrue::jinja {

size_t count_characters(std::string_view text);
/// Returns the number of bytes before the character `index`, or of all bytes if
/// there are fewer characters.
size_t offset_of(std::string_view text, size_t index);
/// Returns characters [begin, end).
std::string_view characters(std::string_view text, size_t begin, size_t end);
std::string character_at(std::string_view text, size_t index);
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view codes);

/// White space of str.isspace() and str.strip().
bool is_space(char32_t code);
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
/// Remove any of `these` characters from the start (end).
std::string_view strip_left(std::string_view text, std::string_view these);
std::string_view strip_right(std::string_view text, std::string_view these);

/// str.splitlines().
std::vector<std::string_view> split_lines(
    std::string_view text,
    bool keep_ends = false);
/// str.split() and str.rsplit() at white space, at most `most` times unless
/// that is negative.
std::vector<std::string_view> split_words(
    std::string_view text,
    int64_t most,
    bool from_right);
/// str.split() and str.rsplit() at a separator that is not empty.
std::vector<std::string_view> split_at(
    std::string_view text,
    std::string_view separator,
    int64_t most,
    bool from_right);
/// str.replace(). Fails if the result is too long.
std::string replace(
    std::string_view text,
    std::string_view old,
    std::string_view by,
    int64_t most);
/// Pads a text with `fill` to `width` characters. Fails if that is too long.
enum class Alignment { kLeft, kRight, kCenter };
std::string pad(
    std::string_view text,
    int64_t width,
    Alignment alignment,
    std::string_view fill = " ");

/// markupsafe.escape().
std::string escape_html(std::string_view text);

/// Fails if a text of this many bytes would be too long.
void check_length(uint64_t bytes);

} // namespace accrue::jinja
