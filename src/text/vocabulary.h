#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace accrue {

/// How a model's text becomes ids: by its tokenizer.json, or one token per
/// UTF-8 byte without one.
class Vocabulary {
 public:
  /// Bytes. NUL, which no text file contains, ends documents.
  Vocabulary();

  /// That of a model folder. What ends a document is tokenizer_config.json's
  /// "eos_token", else `config_eos` (-1: none). Throws DataError if it can't be
  /// read or knows no end of text.
  static Vocabulary open(
      const std::filesystem::path& folder,
      int64_t config_eos);

  bool is_bytes() const {
    return tokenizer_ == nullptr;
  }
  /// nullptr for bytes.
  const std::shared_ptr<const Tokenizer>& tokenizer() const {
    return tokenizer_;
  }
  /// Ids are below it.
  uint32_t size() const;
  uint32_t end_of_text() const {
    return end_of_text_;
  }
  /// Two vocabularies with the same digest give the same ids, or refuse them.
  uint64_t digest() const {
    return digest_;
  }

  /// Says that the model in `folder` has only `rows` embeddings: larger ids can
  /// be made, but not trained on.
  void set_embedding(uint32_t rows, const std::filesystem::path& folder);
  /// Throws DataError naming the first of `ids` without an embedding, and
  /// `user`, what uses it ("line 3 of chats.jsonl").
  void check_embedded(
      std::span<const uint32_t> ids,
      const std::function<std::string()>& user) const;

  /// Puts before a document what the tokenizer puts before a text, unless it
  /// is there.
  void begin_document(std::vector<uint32_t>& ids) const;
  /// Appends what ends a document: what the tokenizer puts after a text, then
  /// the end of text, each unless it is there.
  void end_document(std::vector<uint32_t>& ids) const;

  std::string decode(std::span<const uint32_t> ids) const;

  /// True for a control token of the tokenizer.
  bool is_special(uint32_t id) const {
    return tokenizer_ && tokenizer_->is_special(id);
  }

  /// Encodes texts one after the other; one per thread.
  class Encoder {
   public:
    explicit Encoder(const Vocabulary& vocabulary);

    /// See Tokenizer::Encoder. `text` must be valid UTF-8.
    std::vector<uint32_t> operator()(
        std::string_view text,
        const Tokenizer::Place& place);
    std::vector<uint32_t> operator()(
        std::string_view text,
        const Tokenizer::Place& place,
        std::span<const size_t> offsets,
        std::vector<Tokenizer::Seam>& seams);

   private:
    std::optional<Tokenizer::Encoder> tokenizer_;
  };

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  uint32_t end_of_text_ = 0;
  uint64_t digest_ = 0;
  uint32_t embeddings_ = UINT32_MAX;
  std::filesystem::path folder_; // of the model, for messages
};

} // namespace accrue
