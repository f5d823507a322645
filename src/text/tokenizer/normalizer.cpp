// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer/normalizer.h"

#include <fmt/format.h>

#include <utility>

#include "accrue/core/error.h"
#include "text/unicode.h"

namespace accrue {
namespace {

constexpr int kDeepest = 8; // levels of Sequences in Sequences

std::string strip(std::string_view text, bool left, bool right) {
  text = left ? unicode::strip_left(text) : text;
  return std::string(right ? unicode::strip_right(text) : text);
}

std::string strip_accents(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto c = unicode::first_character(text);
    if (!unicode::is_mark(c.code)) {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

void for_each_step(
    const io::Node& node,
    const char* list,
    const std::function<void(const io::Node&, const std::string&)>& read,
    int depth) {
  std::string type = node.at("type").text();
  if (type != "Sequence") {
    read(node, type);
    return;
  }
  if (depth == kDeepest) {
    node.fail("is nested too deeply");
  }
  for (const io::Node& step : node.at(list).elements()) {
    for_each_step(step, list, read, depth + 1);
  }
}

} // namespace

void for_each_step(
    const io::Node& node,
    const char* list,
    const std::function<void(const io::Node&, const std::string&)>& read) {
  for_each_step(node, list, read, 0);
}

Regex read_pattern(const io::Node& node) {
  if (auto text = node.find("String")) {
    if (text->text().empty()) {
      text->fail("must not be empty");
    }
    return Regex::literal(text->text());
  }
  io::Node regex = node.at("Regex");
  try {
    return Regex(regex.text());
  } catch (const DataError& error) {
    regex.fail(fmt::format("is no pattern ({})", error.what()));
  }
}

std::string replace_all(
    const Regex& regex,
    std::string_view text,
    std::string_view content) {
  Regex::Matcher matcher(regex);
  std::string out;
  size_t done = 0;
  matcher.for_each(text, [&](const Regex::Match& match) {
    out += text.substr(done, match.begin - done);
    out += content;
    done = match.end;
  });
  out += text.substr(done);
  return out;
}

Normalizer::Normalizer(const io::Node& node) {
  for_each_step(
      node, "normalizers", [&](const io::Node& step, const std::string& type) {
        auto form = [&](unicode::Form f) {
          steps_.push_back(
              {[f](std::string_view t) { return unicode::normalize(t, f); }});
        };
        if (type == "NFC") {
          form(unicode::Form::kNfc);
        } else if (type == "NFD") {
          form(unicode::Form::kNfd);
        } else if (type == "NFKC") {
          form(unicode::Form::kNfkc);
        } else if (type == "NFKD") {
          form(unicode::Form::kNfkd);
        } else if (type == "Lowercase") {
          steps_.push_back({unicode::lower_case});
        } else if (type == "StripAccents") {
          steps_.push_back({strip_accents});
        } else if (type == "Strip") {
          bool left = step.boolean("strip_left", true);
          bool right = step.boolean("strip_right", true);
          steps_.push_back({[=](std::string_view text) {
            return strip(text, left, right);
          }});
        } else if (type == "Prepend") {
          std::string prefix = step.at("prepend").text();
          steps_.push_back(
              {[prefix](std::string_view text) {
                 return text.empty() ? "" : prefix + std::string(text);
               },
               /*prepends=*/true});
        } else if (type == "Replace") {
          Regex regex = read_pattern(step.at("pattern"));
          std::string content = step.at("content").text();
          steps_.push_back({[regex, content](std::string_view text) {
            return replace_all(regex, text, content);
          }});
        } else {
          step.at("type").fail(fmt::format("\"{}\" is not supported", type));
        }
      });
}

std::string Normalizer::operator()(std::string_view text, bool continued)
    const {
  std::string out(text);
  for (const Step& step : steps_) {
    if (!(continued && step.prepends)) {
      out = step.run(out);
    }
  }
  return out;
}

} // namespace accrue
