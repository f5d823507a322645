#include "text/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "accrue/core/error.h"
#include "text/unicode.h"

namespace accrue {
namespace {

/// Ids are positions of a table: a lone huge one would make it huge.
constexpr uint32_t kLargestId = 1U << 24;

uint32_t read_id(const io::Node& node) {
  int64_t id = node.integer();
  if (id < 0 || id >= kLargestId) {
    node.fail(fmt::format("must be in [0, {})", kLargestId));
  }
  return static_cast<uint32_t>(id);
}

} // namespace

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
    if (id >= kLargestId) {
      root.fail(fmt::format(
          "has the id {} for \"{}\" in {}, more than {}",
          id,
          token,
          where,
          kLargestId));
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
  } else if (type != "ByteLevel") { // which only moves offsets
    node.at("type").fail(fmt::format("\"{}\" is not supported", type));
  }
}

/// [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, …]
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
    : tokenizer_(std::move(tokenizer)), cutter_(tokenizer_->pre_tokenizer_) {}

std::vector<uint32_t> Tokenizer::Encoder::operator()(
    std::string_view text,
    const Place& place) {
  const Tokenizer& t = *tokenizer_;
  std::vector<uint32_t> ids;
  if (place.special_tokens) {
    ids = t.prefix_;
  }
  bool first = true;
  for (const auto& raw : t.added_.split(text, /*normalized=*/false)) {
    if (raw.id) {
      ids.push_back(*raw.id);
    } else {
      encode_part(raw.text, first, place.continued && first, ids);
    }
    first = false;
  }
  if (place.special_tokens) {
    ids.insert(ids.end(), t.suffix_.begin(), t.suffix_.end());
  }
  return ids;
}

/// Text without raw added tokens; `first`: the whole text begins with it.
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
      for (std::string_view piece : cutter_(part.text, first, continued)) {
        t.model_.encode(piece, cache_, ids);
      }
    }
    first = false;
    continued = false;
  }
}

std::string Tokenizer::decode(std::span<const uint32_t> ids, bool skip_special)
    const {
  std::vector<std::string> tokens;
  for (uint32_t id : ids) {
    if (skip_special && is_special(id)) {
      continue;
    }
    if (id >= tokens_.size() || tokens_[id].empty()) {
      continue; // as tokenizers does: models may have more rows than tokens
    }
    tokens.push_back(tokens_[id]);
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
