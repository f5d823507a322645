#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "cli/arguments.h"
#include "cli/flags.h"
#include "io/json.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode.h"

namespace accrue::cli {
namespace {

struct TokenizeOptions {
  std::string tokenizer;
  std::string file;
  bool decode = false;
  bool no_special_tokens = false;
};

TokenizeOptions parse_tokenize(const std::vector<std::string>& arguments) {
  TokenizeOptions options;
  CLI::App app(
      "Print the token ids of every input line as a JSON array.",
      "accrue tokenize");
  app.add_option("--tokenizer", options.tokenizer, "a tokenizer.json")
      ->required()
      ->type_name("FILE");
  app.add_option(
         "FILE", options.file, "text, one line at a time (default: stdin)")
      ->type_name("");
  app.add_flag(
      "--decode",
      options.decode,
      "the way back: arrays of ids to JSON strings");
  app.add_flag(
      "--no-special-tokens",
      options.no_special_tokens,
      "leave out what the tokenizer puts around a text (BOS, EOS)");
  parse_arguments(app, arguments);
  return options;
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
  TokenizeOptions options = parse_tokenize(arguments);
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
