// SPDX-License-Identifier: Apache-2.0
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

/// Conversion of text to token ids: by the model's tokenizer.json or, without
/// one, one token per UTF-8 byte.
class Vocabulary {
 public:
  /// Makes a vocabulary of bytes. NUL, which no text file contains, ends
  /// documents.
  Vocabulary();

  /// Reads the vocabulary of a model folder. The end of text is "eos_token" in
  /// tokenizer_config.json, otherwise `config_eos` (-1: none). Throws DataError
  /// if the folder can't be read or has no end of text.
  static Vocabulary open(
      const std::filesystem::path& folder,
      int64_t config_eos);

  bool is_bytes() const {
    return tokenizer_ == nullptr;
  }
  /// Tokenizer; nullptr for a vocabulary of bytes.
  const std::shared_ptr<const Tokenizer>& tokenizer() const {
    return tokenizer_;
  }
  /// One more than the largest id.
  uint32_t size() const;
  uint32_t end_of_text() const {
    return end_of_text_;
  }
  /// Hash: vocabularies with the same digest give the same ids, or refuse them.
  uint64_t digest() const {
    return digest_;
  }

  /// Sets the number of embeddings of the model in `folder`. Larger ids can be
  /// encoded, but not trained on.
  void set_embedding(uint32_t rows, const std::filesystem::path& folder);
  /// Throws DataError naming the first of `ids` without an embedding, and
  /// user(), the text that contains it ("line 3 of chats.jsonl").
  void check_embedded(
      std::span<const uint32_t> ids,
      const std::function<std::string()>& user) const;

  /// Adds the tokens that the tokenizer puts before a text, unless they are
  /// there.
  void begin_document(std::vector<uint32_t>& ids) const;
  /// Adds the tokens that the tokenizer puts after a text, then the end of
  /// text, each unless it is there.
  void end_document(std::vector<uint32_t>& ids) const;

  std::string decode(std::span<const uint32_t> ids) const;

  /// Returns true for a control token of the tokenizer.
  bool is_special(uint32_t id) const {
    return tokenizer_ && tokenizer_->is_special(id);
  }

  /// Encodes texts, one after another. Each thread needs its own.
  class Encoder {
   public:
    explicit Encoder(const Vocabulary& vocabulary);

    /// Encodes `text`, which must be valid UTF-8. See Tokenizer::Encoder.
    std::vector<uint32_t> operator()(
        std::string_view text,
        const Tokenizer::EncodeOptions& options);
    std::vector<uint32_t> operator()(
        std::string_view text,
        const Tokenizer::EncodeOptions& options,
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
