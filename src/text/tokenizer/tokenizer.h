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
    /// Offsets in the text, ascending, at which no added token begins, though
    /// it is spelled there.
    std::span<const size_t> plain = {};
  };

  /// A place in a text, among the ids that it became.
  struct Seam {
    size_t ended = 0; // ids of which nothing comes after the place
    size_t begun = 0; // ids of which something comes before it
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
    /// And where `offsets`, ascending, lie among them.
    std::vector<uint32_t> operator()(
        std::string_view text,
        const Place& place,
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
    PreTokenizer::Cutter cutter_;
    Bpe::Cache cache_;
  };

  /// Special tokens are kept unless `skip_special`. Ids that are no token
  /// become nothing.
  std::string decode(std::span<const uint32_t> ids, bool skip_special = false)
      const;

  std::optional<uint32_t> id_of(const std::string& token) const;
  const AddedTokens& added_tokens() const {
    return added_;
  }
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
  size_t surface_bytes(uint32_t id) const;

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
