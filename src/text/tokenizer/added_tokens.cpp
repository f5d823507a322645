// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/added_tokens.h"

#include <algorithm>

#include "text/tokenizer/token_id.h"
#include "text/unicode.h"

namespace accrue {
namespace {

bool stands_alone(std::string_view before, std::string_view after) {
  return (before.empty() ||
          !unicode::is_word(unicode::last_character(before).code)) &&
      (after.empty() ||
       !unicode::is_word(unicode::first_character(after).code));
}

} // namespace

AddedTokens::AddedTokens(const io::Node& list, const Normalizer& normalizer) {
  for (const io::Node& node : list.elements()) {
    Token token{
        .content = node.at("content").text(),
        .id = read_id(node.at("id")),
        .single_word = node.boolean("single_word", false),
        .strip_left = node.boolean("lstrip", false),
        .strip_right = node.boolean("rstrip", false),
        .special = node.boolean("special", false)};
    if (token.content.empty()) {
      continue;
    }
    by_id_[token.id] = token;
    const bool normalized = node.boolean("normalized", !token.special);
    if (normalized) {
      token.content = normalizer(token.content);
    }
    if (!token.content.empty()) {
      auto first = static_cast<unsigned char>(token.content[0]);
      (normalized ? normalized_ : raw_)[first].push_back(token);
    }
  }
  for (Table* table : {&raw_, &normalized_}) {
    for (auto& [first, tokens] : *table) {
      std::stable_sort(
          tokens.begin(), tokens.end(), [](const Token& a, const Token& b) {
            return a.content.size() > b.content.size();
          });
    }
  }
}

const AddedTokens::Token* AddedTokens::match(
    const Table& table,
    std::string_view text) const {
  auto it = table.find(static_cast<unsigned char>(text[0]));
  if (it != table.end()) {
    for (const Token& token : it->second) {
      if (text.starts_with(token.content)) {
        return &token;
      }
    }
  }
  return nullptr;
}

std::vector<AddedTokens::Part> AddedTokens::split(
    std::string_view text,
    bool normalized,
    std::span<const size_t> plain) const {
  const Table& table = normalized ? normalized_ : raw_;
  std::string firsts;
  for (const auto& [first, tokens] : table) {
    firsts += static_cast<char>(first);
  }
  std::vector<Part> parts;
  size_t done = 0;
  size_t i = 0;
  while ((i = text.find_first_of(firsts, i)) != std::string_view::npos) {
    const Token* token = match(table, text.substr(i));
    if (token == nullptr || std::binary_search(plain.begin(), plain.end(), i)) {
      ++i;
      continue;
    }
    size_t begin = i;
    size_t end = i + token->content.size();
    i = end;
    if (token->single_word &&
        !stands_alone(text.substr(0, begin), text.substr(end))) {
      continue;
    }
    if (token->strip_left) {
      begin =
          std::max(done, unicode::strip_right(text.substr(0, begin)).size());
    }
    if (token->strip_right) {
      end = text.size() - unicode::strip_left(text.substr(end)).size();
      i = std::max(i, end);
    }
    if (begin > done) {
      parts.push_back({text.substr(done, begin - done), std::nullopt});
    }
    parts.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) {
    parts.push_back({text.substr(done), std::nullopt});
  }
  return parts;
}

std::vector<size_t> AddedTokens::find_special(std::string_view text) const {
  std::vector<size_t> found;
  for (size_t i = 0; i < text.size(); ++i) {
    for (const Table* table : {&raw_, &normalized_}) {
      const Token* token = match(*table, text.substr(i));
      if (token != nullptr && token->special) {
        found.push_back(i);
        break;
      }
    }
  }
  return found;
}

std::optional<uint32_t> AddedTokens::id_of(const std::string& content) const {
  for (const auto& [id, token] : by_id_) {
    if (token.content == content) {
      return id;
    }
  }
  return std::nullopt;
}

} // namespace accrue
