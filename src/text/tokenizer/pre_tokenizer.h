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

/// The alphabet of byte-level tokenizers: a visible character for every byte
/// (Radford et al. 2019, bytes_to_unicode).
class ByteAlphabet {
 public:
  static const ByteAlphabet& get();

  /// The UTF-8 of a byte's character.
  const std::string& of(unsigned char byte) const {
    return characters_[byte];
  }
  std::string encode(std::string_view bytes) const;
  /// The byte of a character, or -1.
  int byte_of(char32_t code) const {
    return code < bytes_.size() ? bytes_[code] : -1;
  }

 private:
  ByteAlphabet();

  std::array<std::string, 256> characters_;
  std::array<int, 512> bytes_{};
};

/// The "pre_tokenizer" of a tokenizer.json: cuts text into the pieces that are
/// tokenized each by itself. Sequence, Split, ByteLevel, Metaspace, Digits,
/// Punctuation, Whitespace, WhitespaceSplit; others are refused.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(const io::Node& node);

  /// What cutting needs of its own; one per thread.
  class Cutter {
   public:
    explicit Cutter(const PreTokenizer& pre_tokenizer);

    /// Pieces of `text` in order. They are good until the next call. `first`:
    /// the text begins here; `continued`: it goes on where another left off,
    /// so that nothing is put before it.
    const std::vector<std::string_view>& operator()(
        std::string_view text,
        bool first,
        bool continued);

   private:
    const PreTokenizer* owner_;
    std::vector<Regex::Matcher> matchers_; // one per step
    std::vector<std::string_view> pieces_;
    std::vector<std::string_view> next_;
    std::deque<std::string> made_; // text that steps have changed
  };

  /// The pieces are bytes whose characters the caller must put in: the last
  /// step is ByteLevel, whose mapping is left to who needs it.
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
    bool splits = true; // else only the text is changed
    // kBytes: a space before; kSpaces: the replacement of a space.
    bool prefix = false;
    bool prefix_first_only = false;
    std::string replacement;
  };
  static Behavior read_behavior(const io::Node& node);
  static Step split(const char* pattern, Behavior behavior, bool invert);
  void read_metaspace(const io::Node& node);
  void read_byte_level(const io::Node& node);

  static void cut(
      const Step& step,
      Regex::Matcher& matcher,
      std::string_view text,
      std::vector<std::string_view>& pieces);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

} // namespace accrue
