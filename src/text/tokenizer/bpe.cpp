// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <queue>
#include <utility>

#include "text/tokenizer/pre_tokenizer.h"
#include "text/unicode.h"

namespace accrue {
namespace {

constexpr std::string_view kSpace = unicode::kMetaspace;
constexpr size_t kCachedPieces = size_t{1} << 16;
constexpr size_t kCachedBytes = 64; // longer pieces rarely occur again

uint64_t pair_key(uint64_t left, uint64_t right) {
  return left << 32 | right;
}

/// A pair of symbols that could be merged.
struct Candidate {
  uint32_t rank = 0;
  int32_t position = 0; // index of the left symbol
  uint32_t id = 0; // id of the merged symbol

  /// Orders candidates: the best has the lowest rank, then the leftmost
  /// position.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

} // namespace

const std::vector<uint32_t>* Bpe::Cache::find(std::string_view piece) const {
  auto it = ids_.find(piece);
  return it == ids_.end() ? nullptr : &it->second;
}

const std::vector<uint32_t>& Bpe::Cache::insert(
    std::string_view piece,
    std::vector<uint32_t> ids) {
  if (ids_.size() >= kCachedPieces) {
    ids_.clear();
  }
  return ids_[std::string(piece)] = std::move(ids);
}

Bpe::Bpe(const io::Node& node, bool byte_level) : byte_level_(byte_level) {
  if (std::string type = node.text("type", "BPE"); type != "BPE") {
    node.at("type").fail(
        fmt::format("\"{}\" is not supported, only BPE", type));
  }
  if (auto dropout = node.find("dropout"); dropout && dropout->json() != 0.0) {
    dropout->fail("is not supported: ids would be random");
  }
  byte_fallback_ = node.boolean("byte_fallback", false);
  fuse_unknown_ = node.boolean("fuse_unk", false);
  ignore_merges_ = node.boolean("ignore_merges", false);
  prefix_ = node.text("continuing_subword_prefix", "");
  suffix_ = node.text("end_of_word_suffix", "");
  io::Node vocab = node.at("vocab");
  if (!vocab.json().is_object()) {
    vocab.fail("must be an object");
  }
  ids_.reserve(vocab.json().size());
  for (const auto& [token, id] : vocab.json().items()) {
    if (!id.is_number_unsigned() ||
        id.get<uint64_t>() > std::numeric_limits<int32_t>::max()) {
      vocab.at(token).fail("must be an id, a whole number >= 0");
    }
    ids_.emplace(token, id.get<uint32_t>());
  }
  if (auto unknown = node.find("unk_token")) {
    unknown_ = id_of(unknown->text());
    if (!unknown_) {
      unknown->fail(
          fmt::format("\"{}\" is not in the vocabulary", unknown->text()));
    }
  }
  if (byte_fallback_) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      fallback_.push_back(id_of(fmt::format("<0x{:02X}>", byte)));
    }
  }
  read_merges(node.at("merges"));
}

void Bpe::read_merges(const io::Node& merges) {
  if (!merges.json().is_array()) {
    merges.fail("must be an array");
  }
  merges_.reserve(merges.json().size());
  split_at_spaces_ = prefix_.empty() && suffix_.empty();
  uint32_t rank = 0;
  for (size_t i = 0; i < merges.json().size(); ++i) {
    const io::Json& json = merges.json()[i];
    auto fail = [&](const std::string& what) { merges.element(i).fail(what); };
    // "a b" before tokenizers 0.20, ["a", "b"] since then.
    std::string left;
    std::string right;
    if (json.is_string()) {
      const auto& text = json.get_ref<const std::string&>();
      size_t space = text.find(' ');
      if (space == std::string::npos ||
          text.find(' ', space + 1) != std::string::npos) {
        fail("must be two tokens with a space between them");
      }
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (
        json.is_array() && json.size() == 2 && json[0].is_string() &&
        json[1].is_string()) {
      left = json[0].get<std::string>();
      right = json[1].get<std::string>();
    } else {
      fail("must be a pair of tokens");
    }
    if (left.empty() || right.empty()) {
      fail("holds an empty token");
    }
    std::string both =
        left + right.substr(right.starts_with(prefix_) ? prefix_.size() : 0);
    std::optional<uint32_t> ids[3] = {id_of(left), id_of(right), id_of(both)};
    for (size_t k = 0; k < 3; ++k) {
      if (!ids[k]) {
        fail(fmt::format(
            "names \"{}\", which is not in the vocabulary",
            k == 0       ? left
                : k == 1 ? right
                         : both));
      }
    }
    merges_[pair_key(*ids[0], *ids[1])] = {rank++, *ids[2]};
    if (right.starts_with(kSpace) && !left.ends_with(kSpace)) {
      split_at_spaces_ = false;
    }
  }
}

std::optional<uint32_t> Bpe::id_of(std::string_view token) const {
  auto it = ids_.find(token);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

void Bpe::encode(
    std::string_view piece,
    Cache& cache,
    std::vector<uint32_t>& ids) const {
  while (split_at_spaces_ && !piece.empty()) {
    // Finds the next ▁ that follows another character.
    size_t end = 0;
    do {
      end = piece.find(kSpace, end + 1);
    } while (end != std::string_view::npos &&
             piece.substr(0, end).ends_with(kSpace));
    if (end == std::string_view::npos) {
      break;
    }
    encode_part(piece.substr(0, end), cache, ids);
    piece.remove_prefix(end);
  }
  encode_part(piece, cache, ids);
}

void Bpe::encode_part(
    std::string_view piece,
    Cache& cache,
    std::vector<uint32_t>& ids) const {
  if (piece.empty()) {
    return;
  }
  const std::vector<uint32_t>* known = cache.find(piece);
  std::vector<uint32_t> made;
  if (known == nullptr) {
    made = make(piece);
    known = piece.size() <= kCachedBytes ? &cache.insert(piece, std::move(made))
                                         : &made;
  }
  ids.insert(ids.end(), known->begin(), known->end());
}

std::vector<uint32_t> Bpe::make(std::string_view piece) const {
  std::string mapped;
  if (byte_level_) {
    mapped = ByteAlphabet::get().encode(piece);
    piece = mapped;
  }
  if (ignore_merges_) {
    if (auto whole = id_of(piece)) {
      return {*whole};
    }
  }
  std::vector<Symbol> symbols = symbols_of(piece);
  merge(symbols);
  std::vector<uint32_t> ids;
  for (const Symbol& symbol : symbols) {
    if (!symbol.gone) {
      ids.push_back(symbol.id);
    }
  }
  return ids;
}

std::vector<Bpe::Symbol> Bpe::symbols_of(std::string_view piece) const {
  std::vector<Symbol> symbols;
  auto add = [&](uint32_t id) {
    auto index = static_cast<int32_t>(symbols.size());
    if (index > 0) {
      symbols.back().next = index;
    }
    symbols.push_back({id, index - 1, -1, false});
  };
  bool unknown = false; // an unknown token is still to be added
  std::string decorated;
  for (size_t i = 0; i < piece.size();) {
    size_t length =
        std::max<size_t>(1, unicode::character_length(piece.substr(i)));
    std::string_view character = piece.substr(i, length);
    const bool first = i == 0;
    i += length;
    const bool last = i >= piece.size();
    if ((!first && !prefix_.empty()) || (last && !suffix_.empty())) {
      decorated = (first ? "" : prefix_) + std::string(character) +
          (last ? suffix_ : "");
      character = decorated;
    }
    if (auto id = id_of(character)) {
      if (std::exchange(unknown, false)) {
        add(*unknown_);
      }
      add(*id);
      continue;
    }
    auto token = [&](char c) -> const std::optional<uint32_t>& {
      return fallback_[static_cast<unsigned char>(c)];
    };
    if (byte_fallback_ &&
        std::all_of(character.begin(), character.end(), [&](char c) {
          return token(c).has_value();
        })) {
      for (char c : character) {
        add(*token(c));
      }
    } else if (unknown_) {
      if (unknown && !fuse_unknown_) {
        add(*unknown_);
      }
      unknown = true;
    }
  }
  if (unknown) {
    add(*unknown_);
  }
  return symbols;
}

const Bpe::Merge* Bpe::find_merge(uint32_t left, uint32_t right) const {
  auto it = merges_.find(pair_key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

/// Merges the best pair, wherever it is, until none is left.
void Bpe::merge(std::vector<Symbol>& symbols) const {
  std::priority_queue<Candidate> queue;
  auto at = [&](int32_t i) -> Symbol& {
    return symbols[static_cast<size_t>(i)];
  };
  auto consider = [&](int32_t left) {
    if (left < 0 || at(left).next < 0) {
      return;
    }
    if (const Merge* found = find_merge(at(left).id, at(at(left).next).id)) {
      queue.push({found->rank, left, found->id});
    }
  };
  for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i) {
    consider(i);
  }
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.position);
    if (left.gone || left.next < 0) {
      continue;
    }
    Symbol& right = at(left.next);
    // Either symbol may have been merged since the candidate was found.
    const Merge* still = find_merge(left.id, right.id);
    if (still == nullptr || still->id != best.id) {
      continue;
    }
    left.id = best.id;
    left.next = right.next;
    right.gone = true;
    if (right.next >= 0) {
      at(right.next).previous = best.position;
    }
    consider(left.previous);
    consider(best.position);
  }
}

} // namespace accrue
