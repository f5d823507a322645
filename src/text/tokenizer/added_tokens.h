// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/normalizer.h"

namespace accrue {

/// The "added_tokens" of a tokenizer.json. They are found in text before
/// anything else is done with it: the leftmost first, then the longest.
class AddedTokens {
 public:
  AddedTokens() = default;
  AddedTokens(const io::Node& list, const Normalizer& normalizer);

  /// An added token, or text between added tokens.
  struct Part {
    std::string_view text;
    std::optional<uint32_t> id;
  };

  /// Splits text at the tokens that are looked for in raw (`normalized` false)
  /// or in normalized text. Tokens that begin at the offsets `plain`,
  /// ascending, stay text.
  std::vector<Part> split(
      std::string_view text,
      bool normalized,
      std::span<const size_t> plain = {}) const;

  /// Returns the offsets at which special tokens are spelled in `text`.
  std::vector<size_t> find_special(std::string_view text) const;

  struct Token {
    std::string content;
    uint32_t id = 0;
    bool single_word = false;
    bool strip_left = false;
    bool strip_right = false;
    bool special = false;
  };
  const std::map<uint32_t, Token>& by_id() const {
    return by_id_;
  }
  std::optional<uint32_t> id_of(const std::string& content) const;

 private:
  /// Tokens by first byte, longest first.
  using Table = std::map<unsigned char, std::vector<Token>>;
  const Token* match(const Table& table, std::string_view text) const;

  Table raw_;
  Table normalized_;
  std::map<uint32_t, Token> by_id_;
};

} // namespace accrue
