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

/// A tokenizer.json of Hugging Face's tokenizers, as far as it is byte-pair
/// encoding: the same ids and the same text (docs/tokenizers.md). Immutable;
/// threads encode with an Encoder each.
class Tokenizer {
 public:
  /// Reads `path`, a tokenizer.json. Throws DataError naming the field that is
  /// wrong or not supported.
  static std::shared_ptr<const Tokenizer> load(
      const std::filesystem::path& path);

  /// How a text stands among others.
  struct Place {
    /// What the post-processor puts around a text (BOS, EOS).
    bool special_tokens = true;
    /// The text goes on where another left off, so that nothing is put
    /// before it.
    bool continued = false;
  };

  /// Encodes texts one after the other; one per thread.
  class Encoder {
   public:
    explicit Encoder(std::shared_ptr<const Tokenizer> tokenizer);

    /// Ids of `text`, which must be valid UTF-8.
    std::vector<uint32_t> operator()(std::string_view text, const Place& place);
    std::vector<uint32_t> operator()(std::string_view text) {
      return (*this)(text, {});
    }

   private:
    void encode_part(
        std::string_view text,
        bool first,
        bool continued,
        std::vector<uint32_t>& ids);

    std::shared_ptr<const Tokenizer> tokenizer_;
    PreTokenizer::Cutter cutter_;
    Bpe::Cache cache_;
  };

  /// Special tokens are kept unless `skip_special`. Ids that are no token
  /// become nothing.
  std::string decode(std::span<const uint32_t> ids, bool skip_special = false)
      const;

  std::optional<uint32_t> id_of(const std::string& token) const;
  /// True for a token marked special, as control tokens are.
  bool is_special(uint32_t id) const;
  /// One more than the largest id.
  uint32_t size() const {
    return static_cast<uint32_t>(tokens_.size());
  }
  /// What the post-processor puts before and after a text.
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

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  Bpe model_;
  Decoder decoder_;
  AddedTokens added_;
  std::vector<uint32_t> prefix_;
  std::vector<uint32_t> suffix_;
  std::vector<std::string> tokens_; // by id; empty where there is none
};

} // namespace accrue
