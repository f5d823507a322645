// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/json.h"
#include "text/tokenizer/regex.h"

namespace accrue {

/// Alphabet of byte-level tokenizers: a visible character for every byte
/// (Radford et al. 2019, bytes_to_unicode).
class ByteAlphabet {
 public:
  static const ByteAlphabet& get();

  /// Returns a byte's character in UTF-8.
  const std::string& of(unsigned char byte) const {
    return characters_[byte];
  }
  std::string encode(std::string_view bytes) const;
  /// Returns the byte of a character, or -1.
  int byte_of(char32_t code) const {
    return code < bytes_.size() ? bytes_[code] : -1;
  }

 private:
  ByteAlphabet();

  std::array<std::string, 256> characters_;
  std::array<int, 512> bytes_{};
};

/// Reads "prepend_scheme" of a Metaspace: "always", "first" or "never". Before
/// tokenizers 0.15 it was a boolean, "add_prefix_space".
std::string read_prepend_scheme(const io::Node& metaspace);

/// The "pre_tokenizer" of a tokenizer.json: splits text into pieces that are
/// tokenized independently. Supported: Sequence, Split, ByteLevel, Metaspace,
/// Digits, Punctuation, Whitespace, WhitespaceSplit. Others are refused.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(const io::Node& node);

  /// Splits texts, one after another. Each thread needs its own.
  class Splitter {
   public:
    explicit Splitter(const PreTokenizer& pre_tokenizer);

    /// Returns the pieces of `text` in order, which are valid until the next
    /// call. `first`: the whole text begins here. `continued`: the text
    /// continues an earlier one, so that nothing is put before it.
    const std::vector<std::string_view>& operator()(
        std::string_view text,
        bool first,
        bool continued);

   private:
    const PreTokenizer* owner_;
    std::vector<Regex::Matcher> matchers_; // one per step
    std::vector<std::string_view> pieces_;
    std::vector<std::string_view> next_;
    std::deque<std::string> made_; // texts that steps have made
  };

  /// Whether the last step is ByteLevel. Its mapping of bytes to characters is
  /// then left to the caller.
  bool byte_level() const {
    return byte_level_;
  }

 private:
  enum class Behavior { kIsolated, kRemoved, kPrevious, kNext, kContiguous };
  struct Step {
    enum class Kind { kSplit, kBytes, kSpaces } kind = Kind::kSplit;
    Regex regex;
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
    bool splits = true; // otherwise only changes the text
    // Whether to put a space before the text (kBytes), or the replacement of a
    // space (kSpaces).
    bool prefix = false;
    bool prefix_first_only = false;
    std::string replacement;
  };
  class PieceBuilder;
  static Behavior read_behavior(const io::Node& node);
  static Step split_step(const char* pattern, Behavior behavior, bool invert);
  void read_metaspace(const io::Node& node);
  void read_byte_level(const io::Node& node);

  /// Appends the pieces that a step splits `text` into.
  static void split(
      const Step& step,
      Regex::Matcher& matcher,
      std::string_view text,
      std::vector<std::string_view>& pieces);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

} // namespace accrue
