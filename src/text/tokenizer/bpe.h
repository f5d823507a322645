// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/json.h"

namespace accrue {

/// Hash for maps of strings that can be searched with string views.
struct TextHash : std::hash<std::string_view> {
  using is_transparent = void;
};
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

/// Byte-pair encoding (arXiv 1508.07909) as the "model" of a tokenizer.json
/// describes it: encodes pieces of text as ids. A character that is not a token
/// becomes the tokens of its bytes with byte_fallback, otherwise the unknown
/// token, otherwise nothing.
class Bpe {
 public:
  Bpe() = default;
  /// `byte_level`: pieces are raw bytes, which are mapped to characters here.
  Bpe(const io::Node& node, bool byte_level);

  /// Ids of pieces seen before. Each thread needs its own.
  class Cache {
   public:
    const std::vector<uint32_t>* find(std::string_view piece) const;
    const std::vector<uint32_t>& insert(
        std::string_view piece,
        std::vector<uint32_t> ids);

   private:
    TextMap<std::vector<uint32_t>> ids_;
  };

  /// Appends the ids of a piece.
  void encode(std::string_view piece, Cache& cache, std::vector<uint32_t>& ids)
      const;

  std::optional<uint32_t> id_of(std::string_view token) const;
  const TextMap<uint32_t>& vocabulary() const {
    return ids_;
  }

 private:
  struct Merge {
    uint32_t rank = 0;
    uint32_t id = 0;
  };
  struct Symbol {
    uint32_t id = 0;
    int32_t previous = -1;
    int32_t next = -1;
    bool gone = false;
  };

  void read_merges(const io::Node& merges);
  void encode_part(
      std::string_view piece,
      Cache& cache,
      std::vector<uint32_t>& ids) const;
  std::vector<uint32_t> make(std::string_view piece) const;
  std::vector<Symbol> symbols_of(std::string_view piece) const;
  void merge(std::vector<Symbol>& symbols) const;
  const Merge* find_merge(uint32_t left, uint32_t right) const;

  bool byte_level_ = false;
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  std::optional<uint32_t> unknown_;
  std::string prefix_; // before every character but the first of a word
  std::string suffix_; // after the last character of a word
  TextMap<uint32_t> ids_;
  std::unordered_map<uint64_t, Merge> merges_; // by the pair of ids
  std::vector<std::optional<uint32_t>> fallback_; // tokens of the bytes
  /// Whether no merge joins a ▁ with the character before it. Long text may
  /// then be split before each ▁.
  bool split_at_spaces_ = false;
};

} // namespace accrue
