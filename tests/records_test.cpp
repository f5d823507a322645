// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "io/hash.h"
#include "io/json_parser.h"
#include "support.h"
#include "text/json_splitter.h"
#include "text/record.h"

namespace accrue {
namespace {

using namespace std::string_literals;
using io::Json;
using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// The values are libxxhash's.
TEST(HashTest, IsXxh64) {
  std::string digits;
  for (int i = 0; i < 200; ++i) {
    digits += static_cast<char>('0' + i % 10);
  }
  const std::vector<std::pair<std::string, uint64_t>> cases{
      {"", 0xef46db3751d8e999},
      {"a", 0xd24ec4f1a98c6e5b},
      {"abc", 0x44bc2cf5ad770999},
      {"abcdefgh", 0x3ad351775b4634b7},
      {std::string(32, 'x'), 0xe2df261fc2ec30eb},
      {"Call me Ishmael. Some years ago--never mind how long precisely-",
       0x02a2e85470d6fd96},
      {digits, 0x2561e865c1554c7e}};
  for (const auto& [text, want] : cases) {
    io::Xxh64 hash;
    hash.add(bytes_of(text));
    EXPECT_EQ(hash.finish(), want) << text;
  }
}

// The first is the check value in the catalogue of CRCs, the others are RFC
// 3720's, appendix B.4.
TEST(HashTest, IsCrc32c) {
  EXPECT_EQ(io::crc32c("123456789"), 0xE3069283);
  EXPECT_EQ(io::crc32c(""), 0U);
  EXPECT_EQ(io::crc32c(std::string(32, '\0')), 0x8A9136AA);
  EXPECT_EQ(io::crc32c(std::string(32, '\xFF')), 0x62A8AB43);
}

TEST(HashTest, OfAFileOfSeveralBlocks) {
  TemporaryFolder folder;
  std::string text;
  for (uint64_t i = 0; i < (3 << 20) + 13; ++i) {
    text += static_cast<char>((i * i >> 3) & 255);
  }
  uint64_t done = 0;
  EXPECT_EQ(
      io::hash_file(
          folder.write("a", text), [&](uint64_t bytes) { done += bytes; }),
      0x279804e7b021266c);
  EXPECT_EQ(done, text.size());
}

std::vector<std::string> records_of(std::string_view text) {
  std::vector<std::string> records;
  JsonSplitter splitter(text);
  while (auto record = splitter.next()) {
    records.emplace_back(*record);
  }
  return records;
}

TEST(JsonSplitterTest, LinesArraysAndRecordsOverSeveralLines) {
  using Records = std::vector<std::string>;
  const std::vector<std::pair<std::string, Records>> cases{
      {"", {}},
      {" \r\n\t\n", {}},
      {"{\"a\": 1}\r\n\r\n{}\r\n", {"{\"a\": 1}", "{}"}},
      {"7\nx\n[]", {"7", "x", "[]"}}, // malformed, but lines
      {"[]", {}},
      {" [ {} ]\n", {"{}"}},
      {"[1,\"]\", {\"a\": [2, 3]},\n\"\\\"],\" ]",
       {"1", "\"]\"", "{\"a\": [2, 3]}", "\"\\\"],\""}},
      {"{\n\"a\": \"}\\\\\"}\n{\"b\":\n[{}]}{}", // end to end
       {"{\n\"a\": \"}\\\\\"}", "{\"b\":\n[{}]}", "{}"}},
      {"{\n}\n7 8\n{}", {"{\n}", "7 8", "{}"}},
      // A line cut short is not the start of a longer record.
      {"{\"a\": \"b\n{\"a\": \"}\"}\n", {"{\"a\": \"b", "{\"a\": \"}\"}"}},
      {"{\"a\": 1\n{\"a\": 2}\n", {"{\"a\": 1", "{\"a\": 2}"}},
      // A quote too many does harm to its line only.
      {"[{\n\"a\": \"\"\"\n}, {}]", {"{\n\"a\": \"\"\"\n}", "{}"}}};
  for (const auto& [text, want] : cases) {
    EXPECT_EQ(records_of(text), want) << text;
  }
}

TEST(JsonSplitterTest, WhatStandsBetweenRecordsMustBeRight) {
  const std::vector<std::tuple<std::string, std::string, size_t>> cases{
      {"[", "the array has no end", 1},
      {"[{}, {\"a\": [}", "the array has no end", 5},
      {"[{},]", "a comma without a record", 4},
      {"[{},,{}]", "a comma without a record", 4},
      {"[,{}]", "a comma without a record", 1},
      {"[{}] []", "more follows", 5},
      {"{\n}\n{\"a\": {}", "a record has no end", 4}};
  for (const auto& [text, what, offset] : cases) {
    try {
      records_of(text);
      ADD_FAILURE() << "nothing was thrown for " << text;
    } catch (const io::JsonError& error) {
      expect_contains(error.what(), what);
      EXPECT_EQ(error.offset(), offset) << text;
    }
  }
}

TEST(JsonParserTest, ReadsWhatIsValid) {
  const std::string text =
      "\t{\"a\": [1, -2, 1.5e3, \"\\ud83d\\ude42\\n\", true, null, {}, []],"
      " \"b\": {\"a\": {\"a\": \"\xc3\xa9\"}}, \"\": 18446744073709551615} \r";
  EXPECT_EQ(Json(io::parse_json(text)), Json::parse(text));
  EXPECT_EQ(Json(io::parse_json("7")), Json(7));
  EXPECT_EQ(
      io::parse_json(std::string(100, '[') + std::string(100, ']')),
      Json::parse(std::string(100, '[') + std::string(100, ']')));
}

TEST(JsonParserTest, SaysWhatIsWrongAndWhere) {
  const std::vector<std::tuple<std::string, std::string, size_t>> cases{
      {"", "ends too early", 0},
      {R"({"a": 1)", "ends too early", 7},
      {R"({"a": "b)", "ends within a string", 8},
      {R"({"a": "\ud83d"})", "half of a surrogate pair", 13},
      {R"({"a": "\ude42"})", "half of a surrogate pair", 12},
      {R"({"a": NaN})", "write null", 6},
      {R"({"a": -Infinity})", "write null", 7},
      {R"({"a": None})", "Python", 6},
      {R"({'a': 1})", "double quotes", 1},
      {"{\"a\": \"b\tc\"}", "control character U+0009", 8},
      {R"({"a": "\x41"})", "invalid string: forbidden character", 8},
      {R"({"a": 1,})", "a comma before a closing bracket", 8},
      {R"([1, ])", "a comma before a closing bracket", 4},
      {R"({"a": 1} {"b": 2})", "more follows", 9},
      {"{\"a\": \"\xc3(\"}", "not UTF-8", 8},
      {R"({"a": 1, "b": 2, "a": 3})", "\"a\" stands twice", 19},
      {R"({"a": 1e999})", "number overflow", 10},
      {R"({"a" 1})", "unexpected number literal", 5},
      {std::string(101, '['), "more than 100 levels", 100}};
  for (const auto& [text, what, offset] : cases) {
    try {
      io::parse_json(text);
      ADD_FAILURE() << "nothing was thrown for " << text;
    } catch (const io::JsonError& error) {
      expect_contains(error.what(), what);
      EXPECT_EQ(error.offset(), offset) << text;
    }
  }
}

TEST(RecordTest, ShapesBecomeThoseOfExamples) {
  const std::vector<std::pair<const char*, const char*>> cases{
      {R"({"text": "a"})", R"({"text": "a"})"},
      {R"([1])", R"([1])"},
      {R"({"instruction": "a"})", R"({"instruction": "a"})"},
      // Alpaca
      {R"({"instruction": "a", "input": "b", "output": "c", "id": 1})",
       R"({"prompt": "a\n\nb", "completion": "c", "id": 1})"},
      {R"({"instruction": "a", "input": "", "output": "c"})",
       R"({"prompt": "a", "completion": "c"})"},
      {R"({"instruction": "a", "input": null, "output": "c", "history": []})",
       R"({"prompt": "a", "completion": "c"})"},
      {R"({"instruction": "a", "output": "c", "system": "s"})",
       R"({"prompt": [{"role": "system", "content": "s"},
           {"role": "user", "content": "a"}], "completion": "c"})"},
      {R"({"instruction": "a", "input": "b", "chosen": "c", "rejected": "d"})",
       R"({"prompt": "a\n\nb", "chosen": "c", "rejected": "d"})"},
      // ShareGPT
      {R"({"conversations": [{"from": "system", "value": "s"},
           {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"},
           {"from": "user", "value": "c"},
           {"from": "function_call", "value": "d", "weight": 0},
           {"from": "observation", "value": "e"}]})",
       R"({"messages": [{"role": "system", "content": "s"},
           {"role": "user", "content": "a"},
           {"role": "assistant", "content": "b"},
           {"role": "user", "content": "c"},
           {"role": "assistant", "content": "d", "weight": 0},
           {"role": "tool", "content": "e"}]})"},
      {R"({"conversations": [{"role": "user", "content": "a"}],
           "system": "s", "tools": "t"})",
       R"({"messages": [{"role": "system", "content": "s"},
           {"role": "user", "content": "a"}], "tools": "t"})"},
      {R"({"conversations": [{"from": "human", "value": "a"}],
           "chosen": {"from": "bard", "value": "b"}, "rejected": "c"})",
       R"({"prompt": [{"role": "user", "content": "a"}],
           "chosen": [{"role": "assistant", "content": "b"}],
           "rejected": "c"})"}};
  for (const auto& [record, want] : cases) {
    EXPECT_EQ(
        Json(normalize_record(io::OrderedJson::parse(record))),
        Json::parse(want));
  }
}

TEST(RecordTest, WhatCannotBeReadIsSaid) {
  const std::vector<std::pair<const char*, const char*>> cases{
      {R"({"conversations": "a"})", "must be an array, got a string"},
      {R"({"conversations": [{"from": "wizard", "value": "a"}]})",
       "got \"wizard\""},
      {R"({"conversations": [{"from": "gpt"}]})", "\"value\" must be a string"},
      {R"({"conversations": [], "text": "a"})",
       "both \"conversations\" and \"text\""},
      {R"({"instruction": "a", "output": "b", "text": "c"})",
       "both \"instruction\" and \"text\""},
      {R"({"instruction": "a", "output": 1})", "\"output\" must be a string"},
      {R"({"instruction": "a", "output": "b", "history": [["c", "d"]]})",
       "\"history\" is not read"}};
  for (const auto& [record, what] : cases) {
    try {
      normalize_record(io::OrderedJson::parse(record));
      ADD_FAILURE() << "nothing was thrown for " << record;
    } catch (const LineProblem& problem) {
      expect_contains(problem.what(), what);
    }
  }
}

} // namespace
} // namespace accrue
