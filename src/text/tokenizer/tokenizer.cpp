// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "accrue/core/error.h"
#include "text/tokenizer/token_id.h"

namespace accrue {

std::shared_ptr<const Tokenizer> Tokenizer::load(
    const std::filesystem::path& path) {
  io::Json json = io::read_json(path);
  return std::shared_ptr<const Tokenizer>(
      new Tokenizer(io::Node(json, path.string())));
}

Tokenizer::Tokenizer(const io::Node& root) {
  if (auto node = root.find("normalizer")) {
    normalizer_ = Normalizer(*node);
  }
  if (auto node = root.find("pre_tokenizer")) {
    pre_tokenizer_ = PreTokenizer(*node);
  }
  model_ = Bpe(root.at("model"), pre_tokenizer_.byte_level());
  if (auto node = root.find("decoder")) {
    decoder_ = Decoder(*node);
  }
  if (auto node = root.find("added_tokens")) {
    added_ = AddedTokens(*node, normalizer_);
  }
  auto name = [&](uint32_t id, const std::string& token, const char* where) {
    if (id >= kMaxIds) {
      root.fail(fmt::format(
          "has the id {} for \"{}\" in {}, more than {}",
          id,
          token,
          where,
          kMaxIds));
    }
    if (id >= tokens_.size()) {
      tokens_.resize(id + 1);
    }
    tokens_[id] = token;
  };
  for (const auto& [token, id] : model_.vocabulary()) {
    name(id, token, "model.vocab");
  }
  for (const auto& [id, token] : added_.by_id()) {
    name(id, token.content, "added_tokens");
  }
  if (auto node = root.find("post_processor")) {
    for_each_step(
        *node, "processors", [&](const io::Node& step, const std::string&) {
          read_post_processor(step);
        });
  }
}

void Tokenizer::read_post_processor(const io::Node& node) {
  std::string type = node.at("type").text();
  if (type == "TemplateProcessing") {
    read_template(node);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    auto id = [&](const char* key) {
      auto pair = node.at(key).elements();
      if (pair.size() != 2) {
        node.at(key).fail("must be a token and its id");
      }
      return read_id(pair[1]);
    };
    prefix_.insert(prefix_.begin(), id("cls"));
    suffix_.push_back(id("sep"));
  } else if (type != "ByteLevel") { // ByteLevel only changes offsets
    node.at("type").fail(fmt::format("\"{}\" is not supported", type));
  }
}

/// Reads [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, …].
void Tokenizer::read_template(const io::Node& node) {
  std::vector<uint32_t> before;
  std::vector<uint32_t> after;
  bool seen = false;
  for (const io::Node& piece : node.at("single").elements()) {
    if (piece.find("Sequence")) {
      if (std::exchange(seen, true)) {
        piece.fail("repeats the text");
      }
      continue;
    }
    std::string name = piece.at("SpecialToken").at("id").text();
    for (const io::Node& id :
         node.at("special_tokens").at(name).at("ids").elements()) {
      (seen ? after : before).push_back(read_id(id));
    }
  }
  if (!seen) {
    node.at("single").fail("has no place for the text");
  }
  prefix_.insert(prefix_.begin(), before.begin(), before.end());
  suffix_.insert(suffix_.end(), after.begin(), after.end());
}

Tokenizer::Encoder::Encoder(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)), splitter_(tokenizer_->pre_tokenizer_) {}

/// Number of bytes that a token stands for in normalized and split text.
size_t Tokenizer::surface_bytes(uint32_t id) const {
  const std::string& token = tokens_.at(id);
  bool is_byte = token.size() == 6 && token.starts_with("<0x");
  return is_byte ? 1 : token.size();
}

std::vector<uint32_t> Tokenizer::Encoder::operator()(
    std::string_view text,
    const EncodeOptions& options) {
  std::vector<Seam> none;
  return (*this)(text, options, {}, none);
}

std::vector<uint32_t> Tokenizer::Encoder::operator()(
    std::string_view text,
    const EncodeOptions& options,
    std::span<const size_t> offsets,
    std::vector<Seam>& seams) {
  const Tokenizer& t = *tokenizer_;
  std::vector<uint32_t> ids;
  if (options.special_tokens) {
    ids = t.prefix_;
  }
  bool first = true;
  for (const auto& raw : t.added_.split(text, false, options.plain)) {
    const bool continued = options.continued && first;
    const size_t before = ids.size();
    if (raw.id) {
      ids.push_back(*raw.id);
    } else {
      encode_part(raw.text, first, continued, ids);
    }
    auto begin = static_cast<size_t>(raw.text.data() - text.data());
    for (; !offsets.empty() && offsets[0] < begin + raw.text.size();
         offsets = offsets.subspan(1)) {
      Seam seam; // relative to the ids of this part
      if (offsets[0] > begin) {
        seam = raw.id ? Seam{0, 1}
                      : find_seam(
                            raw.text.substr(0, offsets[0] - begin),
                            first,
                            continued,
                            std::span(ids).subspan(before));
      }
      seams.push_back({before + seam.ended, before + seam.begun});
    }
    first = false;
  }
  seams.insert(seams.end(), offsets.size(), {ids.size(), ids.size()});
  if (options.special_tokens) {
    ids.insert(ids.end(), t.suffix_.begin(), t.suffix_.end());
  }
  return ids;
}

/// Returns the place after `before`, the start of a part of a text that became
/// `ids`. Encoded alone, the start may give other tokens, but they stand for
/// the same bytes.
Tokenizer::Seam Tokenizer::Encoder::find_seam(
    std::string_view before,
    bool first,
    bool continued,
    std::span<const uint32_t> ids) {
  std::vector<uint32_t> start;
  encode_part(before, first, continued, start);
  size_t bytes_before = 0;
  for (uint32_t id : start) {
    bytes_before += tokenizer_->surface_bytes(id);
  }
  Seam seam;
  size_t end = 0;
  for (uint32_t id : ids) {
    seam.begun += end < bytes_before ? 1 : 0;
    end += tokenizer_->surface_bytes(id);
    seam.ended += end <= bytes_before ? 1 : 0;
  }
  return seam;
}

/// Encodes text without raw added tokens. `first`: the whole text begins here.
void Tokenizer::Encoder::encode_part(
    std::string_view text,
    bool first,
    bool continued,
    std::vector<uint32_t>& ids) {
  const Tokenizer& t = *tokenizer_;
  std::string normalized;
  if (!t.normalizer_.empty()) {
    normalized = t.normalizer_(text, continued);
    text = normalized;
  }
  for (const auto& part : t.added_.split(text, /*normalized=*/true)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      for (std::string_view piece : splitter_(part.text, first, continued)) {
        t.model_.encode(piece, cache_, ids);
      }
    }
    first = false;
    continued = false;
  }
}

std::string Tokenizer::decode(std::span<const uint32_t> ids) const {
  std::vector<std::string> tokens;
  for (uint32_t id : ids) {
    // Models may have more rows than there are tokens.
    if (id < tokens_.size() && !tokens_[id].empty()) {
      tokens.push_back(tokens_[id]);
    }
  }
  return decoder_(std::move(tokens));
}

std::optional<uint32_t> Tokenizer::id_of(const std::string& token) const {
  if (auto id = added_.id_of(token)) {
    return id;
  }
  return model_.id_of(token);
}

bool Tokenizer::is_special(uint32_t id) const {
  auto it = added_.by_id().find(id);
  return it != added_.by_id().end() && it->second.special;
}

} // namespace accrue
