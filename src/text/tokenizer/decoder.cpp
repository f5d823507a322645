// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/decoder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <utility>

#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/unicode.h"

namespace accrue {
namespace {

using Tokens = std::vector<std::string>;

/// Maps characters back to bytes. A token with a character that stands for no
/// byte is kept as it is.
Tokens decode_bytes(const Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) {
    std::string mapped;
    std::string_view rest = token;
    int byte = 0;
    while (!rest.empty() && byte >= 0) {
      auto c = unicode::first_character(rest);
      byte = ByteAlphabet::get().byte_of(c.code);
      mapped += static_cast<char>(byte);
      rest.remove_prefix(c.length);
    }
    bytes += byte >= 0 ? mapped : token;
  }
  return {unicode::replace_invalid(bytes)};
}

/// Returns the byte that "<0x0A>" stands for, or -1.
int fallback_byte(const std::string& token) {
  unsigned byte = 0;
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
    return -1;
  }
  const char* end = token.data() + 5;
  auto result = std::from_chars(token.data() + 3, end, byte, 16);
  return result.ec == std::errc() && result.ptr == end ? static_cast<int>(byte)
                                                       : -1;
}

/// Turns runs of byte tokens into text. A run that is not valid text becomes
/// one U+FFFD for each byte.
Tokens decode_fallback(const Tokens& tokens) {
  Tokens out;
  std::string bytes;
  auto flush = [&] {
    if (unicode::find_invalid(bytes) == std::string::npos) {
      if (!bytes.empty()) {
        out.push_back(bytes);
      }
    } else {
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    int byte = fallback_byte(token);
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

/// Removes the content up to `start` times from the start and up to `stop`
/// times from the end.
std::string strip(
    std::string_view token,
    std::string_view content,
    int64_t start,
    int64_t stop) {
  while (start-- > 0 && token.starts_with(content)) {
    token.remove_prefix(content.size());
  }
  while (stop-- > 0 && token.ends_with(content)) {
    token.remove_suffix(content.size());
  }
  return std::string(token);
}

template <class Change>
auto each(Change change) {
  return [change](Tokens tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = change(tokens[i], i, tokens.size());
    }
    return tokens;
  };
}

std::string read_content(const io::Node& node, const char* key) {
  std::string content = node.at(key).text();
  if (content.empty()) {
    node.at(key).fail("must not be empty");
  }
  return content;
}

} // namespace

Decoder::Decoder(const io::Node& node) : present_(true) {
  for_each_step(
      node, "decoders", [&](const io::Node& step, const std::string& type) {
        if (type == "ByteLevel") {
          steps_.push_back(decode_bytes);
        } else if (type == "ByteFallback") {
          steps_.push_back(decode_fallback);
        } else if (type == "Fuse") {
          steps_.push_back([](const Tokens& tokens) {
            return Tokens{fmt::format("{}", fmt::join(tokens, ""))};
          });
        } else if (type == "Strip") {
          steps_.push_back(each([content = read_content(step, "content"),
                                 start = step.at("start").integer(),
                                 stop = step.at("stop").integer()](
                                    const std::string& token, size_t, size_t) {
            return strip(token, content, start, stop);
          }));
        } else if (type == "Replace") {
          steps_.push_back(each([pattern = read_pattern(step.at("pattern")),
                                 content = step.at("content").text()](
                                    const std::string& token, size_t, size_t) {
            return replace_all(pattern, token, content);
          }));
        } else if (type == "Metaspace") {
          steps_.push_back(
              each([pattern = Regex::literal(
                        step.text("replacement", unicode::kMetaspace)),
                    prepended = read_prepend_scheme(step) != "never"](
                       const std::string& token, size_t i, size_t) {
                return replace_all(
                    pattern, token, i == 0 && prepended ? "" : " ");
              }));
        } else if (type == "BPEDecoder") {
          steps_.push_back(
              each([pattern = Regex::literal(read_content(step, "suffix"))](
                       const std::string& token, size_t i, size_t count) {
                return replace_all(pattern, token, i + 1 == count ? "" : " ");
              }));
        } else {
          step.at("type").fail(fmt::format("\"{}\" is not supported", type));
        }
      });
}

std::string Decoder::operator()(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) {
    tokens = step(std::move(tokens));
  }
  return fmt::format("{}", fmt::join(tokens, present_ ? "" : " "));
}

} // namespace accrue
