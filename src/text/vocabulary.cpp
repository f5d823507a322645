// SPDX-License-Identifier: Apache-2.0
#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "io/files.h"
#include "io/json.h"
#include "text/unicode.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kBytes = 256;

/// Reads "<s>" or {"content": "<s>", …}; nullopt if it is absent.
std::optional<std::string> read_token(const io::Node& node, const char* key) {
  auto token = node.find(key);
  if (!token) {
    return std::nullopt;
  }
  return token->json().is_object() ? token->at("content").text()
                                   : token->text();
}

} // namespace

Vocabulary::Vocabulary() = default;

Vocabulary Vocabulary::open(const fs::path& folder, int64_t config_eos) {
  fs::path file = folder / "tokenizer.json";
  Vocabulary vocabulary;
  if (!fs::exists(file)) {
    if (fs::exists(folder / "tokenizer.model")) {
      throw DataError(fmt::format(
          "[tokenizer] {} holds a tokenizer.model but no tokenizer.json. Save "
          "it with transformers' AutoTokenizer, which writes one.",
          folder.string()));
    }
    return vocabulary;
  }
  vocabulary.tokenizer_ = Tokenizer::load(file);
  std::optional<uint32_t> end;
  if (fs::path path = folder / "tokenizer_config.json"; fs::exists(path)) {
    io::Json json = io::read_json(path);
    io::Node node(json, path.string());
    if (auto token = read_token(node, "eos_token")) {
      end = vocabulary.tokenizer_->id_of(*token);
      if (!end) {
        node.at("eos_token").fail("is not in the vocabulary");
      }
    }
  }
  if (!end && config_eos >= 0) {
    end = static_cast<uint32_t>(config_eos);
  }
  if (!end) {
    throw DataError(fmt::format(
        "[tokenizer] {} does not say what ends a text. Set \"eos_token\" in "
        "tokenizer_config.json or \"eos_token_id\" in config.json.",
        folder.string()));
  }
  vocabulary.end_of_text_ = *end;
  io::Digest digest = io::digest_file(file);
  vocabulary.digest_ = mix(mix(digest.size_bytes, digest.crc32), *end + 1);
  return vocabulary;
}

uint32_t Vocabulary::size() const {
  return tokenizer_ ? std::max(tokenizer_->size(), end_of_text_ + 1) : kBytes;
}

void Vocabulary::set_embedding(uint32_t rows, const fs::path& folder) {
  if (rows < size()) {
    embeddings_ = rows;
    folder_ = folder;
    digest_ = mix(digest_, rows);
  }
}

void Vocabulary::check_embedded(
    std::span<const uint32_t> ids,
    const std::function<std::string()>& user) const {
  auto id = std::find_if(
      ids.begin(), ids.end(), [&](uint32_t i) { return i >= embeddings_; });
  if (id != ids.end()) {
    throw DataError(fmt::format(
        "[tokenizer] {} uses the token \"{}\" (id {}), but the model in {} has "
        "only {} embeddings. Use the tokenizer that it was made with, or add "
        "embeddings: python -c \"from transformers import AutoModelForCausalLM "
        "as M; "
        "m = M.from_pretrained('{}'); m.resize_token_embeddings({}); "
        "m.save_pretrained('{}')\"",
        user(),
        decode({&*id, 1}),
        *id,
        folder_.string(),
        embeddings_,
        folder_.string(),
        size(),
        folder_.string()));
  }
}

void Vocabulary::begin_document(std::vector<uint32_t>& ids) const {
  if (tokenizer_) {
    const auto& prefix = tokenizer_->prefix();
    if (!std::ranges::equal(
            prefix,
            std::span(ids).first(std::min(prefix.size(), ids.size())))) {
      ids.insert(ids.begin(), prefix.begin(), prefix.end());
    }
  }
}

void Vocabulary::end_document(std::vector<uint32_t>& ids) const {
  if (tokenizer_) {
    const auto& suffix = tokenizer_->suffix();
    if (!std::ranges::equal(
            suffix, std::span(ids).last(std::min(suffix.size(), ids.size())))) {
      ids.insert(ids.end(), suffix.begin(), suffix.end());
    }
  }
  if (ids.empty() || ids.back() != end_of_text_) {
    ids.push_back(end_of_text_);
  }
}

std::string Vocabulary::decode(std::span<const uint32_t> ids) const {
  if (tokenizer_) {
    return tokenizer_->decode(ids);
  }
  std::string bytes;
  for (uint32_t id : ids) {
    if (id < kBytes) { // models may have more rows than there are bytes
      bytes += static_cast<char>(id);
    }
  }
  return bytes;
}

Vocabulary::Encoder::Encoder(const Vocabulary& vocabulary) {
  if (vocabulary.tokenizer_) {
    tokenizer_.emplace(vocabulary.tokenizer_);
  }
}

std::vector<uint32_t> Vocabulary::Encoder::operator()(
    std::string_view text,
    const Tokenizer::EncodeOptions& options) {
  std::vector<Tokenizer::Seam> none;
  return (*this)(text, options, {}, none);
}

std::vector<uint32_t> Vocabulary::Encoder::operator()(
    std::string_view text,
    const Tokenizer::EncodeOptions& options,
    std::span<const size_t> offsets,
    std::vector<Tokenizer::Seam>& seams) {
  if (tokenizer_) {
    return (*tokenizer_)(text, options, offsets, seams);
  }
  std::vector<uint32_t> ids;
  ids.reserve(text.size());
  for (char c : text) {
    ids.push_back(static_cast<unsigned char>(c));
  }
  for (size_t offset : offsets) { // one token per byte
    seams.push_back({offset, offset});
  }
  return ids;
}

} // namespace accrue
