// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace accrue {

/// A tokenizer.json of Hugging Face's tokenizers with byte-pair encoding. Gives
/// the same ids and the same text (docs/tokenizers.md). Immutable; each thread
/// encodes with an Encoder of its own.
class Tokenizer {
 public:
  /// Reads a tokenizer.json. Throws DataError naming the field that is wrong or
  /// not supported.
  static std::shared_ptr<const Tokenizer> load(
      const std::filesystem::path& path);

  /// Options for encoding one text.
  struct EncodeOptions {
    /// Whether to add the tokens that the post-processor puts around a text
    /// (BOS, EOS).
    bool special_tokens = true;
    /// Whether the text continues an earlier one, so that nothing is put before
    /// it.
    bool continued = false;
    /// Offsets in the text, ascending, at which added tokens are plain text
    /// although they are spelled there.
    std::span<const size_t> plain = {};
  };

  /// Place in a text, given as positions among its ids.
  struct Seam {
    size_t ended = 0; // number of ids that end at or before the place
    size_t begun = 0; // number of ids that begin before the place
  };

  /// Encodes texts, one after another. Each thread needs its own.
  class Encoder {
   public:
    explicit Encoder(std::shared_ptr<const Tokenizer> tokenizer);

    /// Returns the ids of `text`, which must be valid UTF-8.
    std::vector<uint32_t> operator()(
        std::string_view text,
        const EncodeOptions& options);
    std::vector<uint32_t> operator()(std::string_view text) {
      return (*this)(text, {});
    }
    /// Also appends the places of `offsets`, ascending, to `seams`.
    std::vector<uint32_t> operator()(
        std::string_view text,
        const EncodeOptions& options,
        std::span<const size_t> offsets,
        std::vector<Seam>& seams);

   private:
    void encode_part(
        std::string_view text,
        bool first,
        bool continued,
        std::vector<uint32_t>& ids);
    Seam find_seam(
        std::string_view before,
        bool first,
        bool continued,
        std::span<const uint32_t> ids);

    std::shared_ptr<const Tokenizer> tokenizer_;
    PreTokenizer::Splitter splitter_;
    Bpe::Cache cache_;
  };

  /// Returns the text of ids. Ids without a token are left out.
  std::string decode(std::span<const uint32_t> ids) const;

  std::optional<uint32_t> id_of(const std::string& token) const;
  const AddedTokens& added_tokens() const {
    return added_;
  }
  /// Returns true for a token marked special, e.g. a control token.
  bool is_special(uint32_t id) const;
  /// One more than the largest id.
  uint32_t size() const {
    return static_cast<uint32_t>(tokens_.size());
  }
  /// Tokens that the post-processor puts before (after) a text.
  const std::vector<uint32_t>& prefix() const {
    return prefix_;
  }
  const std::vector<uint32_t>& suffix() const {
    return suffix_;
  }

 private:
  explicit Tokenizer(const io::Node& root);
  void read_post_processor(const io::Node& node);
  void read_template(const io::Node& node);
  size_t surface_bytes(uint32_t id) const;

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  Bpe model_;
  Decoder decoder_;
  AddedTokens added_;
  std::vector<uint32_t> prefix_;
  std::vector<uint32_t> suffix_;
  std::vector<std::string> tokens_; // by id; empty for ids without a token
};

} // namespace accrue
