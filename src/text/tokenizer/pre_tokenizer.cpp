// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <map>

#include "text/tokenizer/normalizer.h"
#include "text/unicode.h"

namespace accrue {
namespace {

/// Pattern of GPT-2, which ByteLevel splits with by default.
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

} // namespace

ByteAlphabet::ByteAlphabet() {
  bytes_.fill(-1);
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    bool visible = (byte >= '!' && byte <= '~') ||
        (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    unsigned code = visible ? byte : next++;
    bytes_[code] = static_cast<int>(byte);
    unicode::append(characters_[byte], code);
  }
}

const ByteAlphabet& ByteAlphabet::get() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

std::string ByteAlphabet::encode(std::string_view bytes) const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (char c : bytes) {
    text += of(static_cast<unsigned char>(c));
  }
  return text;
}

std::string read_prepend_scheme(const io::Node& metaspace) {
  return metaspace.text(
      "prepend_scheme",
      metaspace.boolean("add_prefix_space", true) ? "always" : "never");
}

PreTokenizer::Behavior PreTokenizer::read_behavior(const io::Node& node) {
  static const std::map<std::string, Behavior> kNames{
      {"Isolated", Behavior::kIsolated},
      {"Removed", Behavior::kRemoved},
      {"MergedWithPrevious", Behavior::kPrevious},
      {"MergedWithNext", Behavior::kNext},
      {"Contiguous", Behavior::kContiguous}};
  auto it = kNames.find(node.text());
  if (it == kNames.end()) {
    node.fail(fmt::format("\"{}\" is not supported", node.text()));
  }
  return it->second;
}

PreTokenizer::Step PreTokenizer::split_step(
    const char* pattern,
    Behavior behavior,
    bool invert) {
  return {.regex = Regex(pattern), .behavior = behavior, .invert = invert};
}

PreTokenizer::PreTokenizer(const io::Node& node) {
  for_each_step(
      node,
      "pretokenizers",
      [&](const io::Node& step, const std::string& type) {
        if (type == "Split") {
          steps_.push_back(
              {.regex = read_pattern(step.at("pattern")),
               .behavior = read_behavior(step.at("behavior")),
               .invert = step.boolean("invert", false)});
        } else if (type == "ByteLevel") {
          read_byte_level(step);
        } else if (type == "Metaspace") {
          read_metaspace(step);
        } else if (type == "Digits") {
          bool each = step.boolean("individual_digits", false);
          steps_.push_back(split_step(
              R"(\p{N})",
              each ? Behavior::kIsolated : Behavior::kContiguous,
              false));
        } else if (type == "Punctuation") {
          auto behavior = step.find("behavior");
          steps_.push_back(split_step(
              R"([\p{P}\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e])",
              behavior ? read_behavior(*behavior) : Behavior::kIsolated,
              false));
        } else if (type == "Whitespace") {
          steps_.push_back(split_step(
              R"([\p{L}\p{M}\p{Nd}\p{Pc}]+|[^\p{L}\p{M}\p{Nd}\p{Pc}\s]+)",
              Behavior::kRemoved,
              true));
        } else if (type == "WhitespaceSplit") {
          steps_.push_back(split_step(R"(\s)", Behavior::kRemoved, false));
        } else {
          step.at("type").fail(fmt::format("\"{}\" is not supported", type));
        }
      });
  byte_level_ = !steps_.empty() && steps_.back().kind == Step::Kind::kBytes;
}

void PreTokenizer::read_byte_level(const io::Node& node) {
  bool splits = node.boolean("use_regex", true);
  steps_.push_back(
      {.kind = Step::Kind::kBytes,
       .regex = Regex(kGpt2Pattern),
       .splits = splits,
       .prefix = node.boolean("add_prefix_space", true)});
}

void PreTokenizer::read_metaspace(const io::Node& node) {
  std::string replacement = node.text("replacement", unicode::kMetaspace);
  if (replacement.empty()) {
    node.at("replacement").fail("must not be empty");
  }
  std::string scheme = read_prepend_scheme(node);
  if (scheme != "always" && scheme != "never" && scheme != "first") {
    node.at("prepend_scheme")
        .fail(fmt::format("\"{}\" is not supported", scheme));
  }
  steps_.push_back(
      {.kind = Step::Kind::kSpaces,
       .regex = Regex::literal(replacement),
       .behavior = Behavior::kNext,
       .splits = node.boolean("split", true),
       .prefix = scheme != "never",
       .prefix_first_only = scheme == "first",
       .replacement = replacement});
}

PreTokenizer::Splitter::Splitter(const PreTokenizer& pre_tokenizer)
    : owner_(&pre_tokenizer) {
  for (const Step& step : pre_tokenizer.steps_) {
    matchers_.emplace_back(step.regex);
  }
}

/// Joins matches and the text between them into pieces, as a behavior says.
class PreTokenizer::PieceBuilder {
 public:
  PieceBuilder(
      Behavior behavior,
      std::string_view text,
      std::vector<std::string_view>& pieces)
      : behavior_(behavior), text_(text), pieces_(pieces) {}

  /// Adds the next part of the text, up to `end`.
  void add(size_t begin, size_t end, bool match) {
    if (begin == end) {
      return;
    }
    switch (behavior_) {
      case Behavior::kIsolated:
        end_piece(begin);
        end_piece(end);
        break;
      case Behavior::kRemoved:
        end_piece(begin);
        if (match) {
          piece_begin_ = end;
        } else {
          end_piece(end);
        }
        break;
      case Behavior::kContiguous:
        if (any_ && match != last_was_match_) {
          end_piece(begin);
        }
        break;
      case Behavior::kPrevious: // a match ends its piece
        if (!match || last_was_match_) {
          end_piece(begin);
        }
        break;
      case Behavior::kNext: // a match begins its piece
        if (match || (any_ && !last_was_match_)) {
          end_piece(begin);
        }
        break;
    }
    any_ = true;
    last_was_match_ = match;
  }

  void end_piece(size_t end) {
    if (end > piece_begin_) {
      pieces_.push_back(text_.substr(piece_begin_, end - piece_begin_));
    }
    piece_begin_ = end;
  }

 private:
  Behavior behavior_;
  std::string_view text_;
  std::vector<std::string_view>& pieces_;
  size_t piece_begin_ = 0;
  bool any_ = false; // whether a part was added
  bool last_was_match_ = false;
};

void PreTokenizer::split(
    const Step& step,
    Regex::Matcher& matcher,
    std::string_view text,
    std::vector<std::string_view>& pieces) {
  PieceBuilder builder(step.behavior, text, pieces);
  size_t done = 0;
  matcher.for_each(text, [&](const Regex::Match& found) {
    builder.add(done, found.begin, step.invert);
    builder.add(found.begin, found.end, !step.invert);
    done = found.end;
  });
  builder.add(done, text.size(), step.invert);
  builder.end_piece(text.size());
}

const std::vector<std::string_view>& PreTokenizer::Splitter::operator()(
    std::string_view text,
    bool first,
    bool continued) {
  made_.clear();
  pieces_.assign(1, text);
  for (size_t i = 0; i < owner_->steps_.size(); ++i) {
    const Step& step = owner_->steps_[i];
    const bool last = i + 1 == owner_->steps_.size();
    next_.clear();
    for (size_t p = 0; p < pieces_.size(); ++p) {
      std::string_view piece = pieces_[p];
      const bool prefixed = step.prefix && !(continued && p == 0) &&
          (!step.prefix_first_only || (first && p == 0));
      if (step.kind == Step::Kind::kSpaces) {
        std::string spaced;
        for (char c : piece) {
          c == ' ' ? spaced += step.replacement : spaced += c;
        }
        if (prefixed && !spaced.starts_with(step.replacement)) {
          spaced.insert(0, step.replacement);
        }
        piece = made_.emplace_back(std::move(spaced));
      } else if (prefixed && !piece.starts_with(' ')) {
        piece = made_.emplace_back(std::string(1, ' ').append(piece));
      }
      size_t begin = next_.size();
      if (step.splits) {
        split(step, matchers_[i], piece, next_);
      } else {
        next_.push_back(piece);
      }
      if (step.kind == Step::Kind::kBytes && !last) {
        for (size_t n = begin; n < next_.size(); ++n) {
          next_[n] = made_.emplace_back(ByteAlphabet::get().encode(next_[n]));
        }
      }
    }
    std::swap(pieces_, next_);
  }
  return pieces_;
}

} // namespace accrue
