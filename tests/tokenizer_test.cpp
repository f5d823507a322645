// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "accrue/core/error.h"
#include "io/json.h"
#include "support.h"
#include "text/tokenizer/tokenizer.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;
using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

/// Every line of a golden file: ids, ids without special tokens, decoded text.
void expect_golden(const fs::path& tokenizer_file, const fs::path& golden) {
  auto tokenizer = Tokenizer::load(tokenizer_file);
  Tokenizer::Encoder encode(tokenizer);
  std::ifstream file(golden);
  std::string line;
  int count = 0;
  for (; std::getline(file, line); ++count) {
    io::Json want = io::Json::parse(line);
    const auto& text = want.at("text").get_ref<const std::string&>();
    auto ids = want.at("ids").get<std::vector<uint32_t>>();
    // Twice: the second time pieces come from the cache.
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(encode(text), ids) << golden << ": " << text;
    }
    if (want.contains("bare")) {
      EXPECT_EQ(
          encode(text, {.special_tokens = false}),
          want.at("bare").get<std::vector<uint32_t>>())
          << golden << ": " << text;
    }
    EXPECT_EQ(tokenizer->decode(ids), want.at("decoded").get<std::string>())
        << golden << ": " << text;
  }
  EXPECT_GT(count, 50);
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(
    Tokenizers,
    GoldenTest,
    ::testing::Values(
        "gpt2",
        "roberta",
        "llama3",
        "qwen2",
        "llama2",
        "mistral",
        "metaspace_split",
        "words"),
    [](const auto& name) { return std::string(name.param); });

TEST_P(GoldenTest, IdsAndTextsAreThoseOfTokenizers) {
  fs::path base = fs::path(ACCRUE_ORACLE_DIR) / "tokenizers" / GetParam();
  expect_golden(fs::path(base) += ".json", fs::path(base) += ".golden.jsonl");
}

TEST(SharedTokenizerTest, IdsAndTextsAreThoseOfTokenizers) {
  fs::path shared = fs::path(ACCRUE_ORACLE_DIR) / "../../../shared/tokenizers";
  if (!fs::is_directory(shared)) {
    GTEST_SKIP() << "no real tokenizers in " << shared;
  }
  for (const auto& entry : fs::directory_iterator(shared)) {
    expect_golden(
        entry.path() / "tokenizer.json", entry.path() / "golden.jsonl");
  }
}

/// A sound tokenizer.json to be damaged.
io::Json sound() {
  return io::read_json(
      fs::path(ACCRUE_ORACLE_DIR) / "tokenizers" / "llama3.json");
}

std::string load_message(const io::Json& json) {
  TemporaryFolder folder;
  std::string path = folder.write("tokenizer.json", json.dump());
  auto message = message_of<DataError>([&] { Tokenizer::load(path); });
  expect_contains(message, path);
  return message;
}

TEST(TokenizerErrorTest, DamagedFilesNameTheField) {
  auto damaged = [](const char* pointer, io::Json value) {
    io::Json json = sound();
    json[io::Json::json_pointer(pointer)] = std::move(value);
    return load_message(json);
  };
  io::Json json = sound();
  json["model"].erase("merges");
  expect_contains(load_message(json), "\"model.merges\" is missing");
  json = sound();
  json["model"].erase("vocab");
  expect_contains(load_message(json), "\"model.vocab\" is missing");
  expect_contains(
      damaged("/model/merges/3", {"Ġ", "nowhere"}),
      "\"model.merges[3]\" names \"nowhere\", which is not in the vocabulary");
  expect_contains(
      damaged("/model/merges/3", {"", "a"}),
      "\"model.merges[3]\" holds an empty token");
  expect_contains(
      damaged("/model/merges/0", 7), "\"model.merges[0]\" must be a pair");
  expect_contains(damaged("/model/merges", 7), "must be an array");
  expect_contains(damaged("/model/type", "Unigram"), "\"Unigram\" is not");
  expect_contains(damaged("/model/vocab/a", -1), "must be an id");
  expect_contains(damaged("/model/vocab/a", 4000000000), "must be an id");
  expect_contains(damaged("/model/vocab/a", 2000000000), "more than");
  expect_contains(damaged("/model/dropout", 0.1), "\"model.dropout\"");
  expect_contains(damaged("/added_tokens/0/id", "x"), "whole number");
  expect_contains(
      damaged("/pre_tokenizer/type", "UnicodeScripts"), "is not supported");
  expect_contains(
      damaged(
          "/pre_tokenizer/pretokenizers/0/pattern", {{"Regex", "(unclosed"}}),
      "is no pattern (missing closing parenthesis");
  expect_contains(
      damaged("/pre_tokenizer/pretokenizers/0/pattern", {{"Regex", "[a&&b]"}}),
      "intersections");
  expect_contains(
      damaged("/normalizer", {{"type", "Precompiled"}}),
      "\"normalizer.type\" \"Precompiled\" is not supported");
  expect_contains(damaged("/decoder", {{"type", "CTC"}}), "is not supported");
  expect_contains(
      damaged("/post_processor/processors/1/single", io::Json::array()),
      "has no place for the text");
}

TEST(TokenizerErrorTest, DeepNestingIsRefused) {
  auto nested = [](int levels) {
    std::string text = sound().dump();
    std::string normalizer;
    for (int i = 0; i < levels; ++i) {
      normalizer += R"({"type":"Sequence","normalizers":[)";
    }
    normalizer += R"({"type":"NFC"})";
    for (int i = 0; i < levels; ++i) {
      normalizer += "]}";
    }
    const std::string none = R"("normalizer":null)";
    text.replace(text.find(none), none.size(), R"("normalizer":)" + normalizer);
    TemporaryFolder folder;
    std::string path = folder.write("tokenizer.json", text);
    return message_of<DataError>([&] { Tokenizer::load(path); });
  };
  expect_contains(nested(10), "is nested too deeply");
  expect_contains(nested(100000), "nested too deeply, more than 100 levels");
}

} // namespace
} // namespace accrue
