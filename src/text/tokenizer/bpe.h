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

/// Lets a map of strings be asked with views.
struct TextHash : std::hash<std::string_view> {
  using is_transparent = void;
};
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

/// Byte-pair encoding (arXiv 1508.07909) as the "model" of a tokenizer.json
/// describes it: pieces of text to ids. Characters that are no token become
/// their bytes with byte_fallback, else the unknown token, else nothing.
class Bpe {
 public:
  Bpe() = default;
  /// `byte_level`: pieces are raw bytes, whose characters are looked up here.
  Bpe(const io::Node& node, bool byte_level);

  /// Ids of pieces seen before; one per thread.
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
  std::string prefix_; // of every character but a word's first
  std::string suffix_; // of a word's last
  TextMap<uint32_t> ids_;
  std::unordered_map<uint64_t, Merge> merges_; // by both ids
  std::vector<std::optional<uint32_t>> fallback_; // tokens of the bytes
  /// No merge joins what stands before a ▁ with it, so that a whole text can
  /// be cut there.
  bool cut_at_spaces_ = false;
};

} // namespace accrue
