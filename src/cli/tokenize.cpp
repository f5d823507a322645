// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "cli/commands.h"
#include "cli/flag_parser.h"
#include "io/json.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode.h"

namespace accrue::cli {
namespace {

struct TokenizeOptions {
  std::string tokenizer;
  std::string file; // empty = stdin
  bool decode = false;
  bool no_special_tokens = false;

  template <class Options, class Visitor>
  static void visit(Options& o, Visitor&& v);
};

template <class Options, class Visitor>
void TokenizeOptions::visit(Options& o, Visitor&& v) {
  v({.name = "tokenizer",
     .value = "FILE",
     .help = "a tokenizer.json",
     .required = true},
    o.tokenizer);
  v({.name = "FILE",
     .help = "text, one line at a time (default: stdin)",
     .positional = true},
    o.file);
  v({.name = "decode", .help = "turn arrays of ids into JSON strings"},
    o.decode);
  v({.name = "no-special-tokens",
     .help = "leave out the tokens around a text (BOS, EOS)"},
    o.no_special_tokens);
}

std::string decoded(
    const Tokenizer& tokenizer,
    const std::string& line,
    const std::string& where) {
  io::Json json = io::Json::parse(line, nullptr, /*exceptions=*/false);
  std::vector<uint32_t> ids;
  if (json.is_discarded()) {
    throw DataError(fmt::format(
        "[data] {} is not valid JSON. Give one array of ids per line.", where));
  }
  for (const io::Node& id : io::Node(json, where).elements()) {
    if (id.integer() < 0 || id.integer() >= tokenizer.size()) {
      id.fail(fmt::format("is not below {}", tokenizer.size()));
    }
    ids.push_back(static_cast<uint32_t>(id.integer()));
  }
  return io::Json(tokenizer.decode(ids)).dump();
}

std::string encoded(
    Tokenizer::Encoder& encoder,
    const std::string& line,
    const std::string& where,
    bool special_tokens) {
  size_t bad = unicode::find_invalid(line);
  if (bad != std::string::npos) {
    throw DataError(fmt::format(
        "[data] {} is not UTF-8: byte {} is 0x{:02x}. Convert the file with "
        "iconv.",
        where,
        bad,
        static_cast<unsigned char>(line[bad])));
  }
  return io::Json(encoder(line, {.special_tokens = special_tokens})).dump();
}

} // namespace

int run_tokenize(const std::vector<std::string>& arguments) {
  const auto options = parse_command<TokenizeOptions>(
      "tokenize",
      "Print the token ids of every input line as a JSON array.",
      arguments);
  auto tokenizer = Tokenizer::load(options.tokenizer);
  Tokenizer::Encoder encoder(tokenizer);
  std::ifstream file;
  if (!options.file.empty()) {
    file.open(options.file);
    if (!file) {
      throw DataError(
          fmt::format("[io] cannot read {}. Check the path.", options.file));
    }
  }
  std::istream& input = options.file.empty() ? std::cin : file;
  std::string line;
  for (size_t number = 1; std::getline(input, line); ++number) {
    std::string where = fmt::format(
        "line {} of {}", number, options.file.empty() ? "stdin" : options.file);
    std::string out = options.decode
        ? decoded(*tokenizer, line, where)
        : encoded(encoder, line, where, !options.no_special_tokens);
    fmt::print("{}\n", out);
  }
  return 0;
}

} // namespace accrue::cli
