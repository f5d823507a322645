// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "accrue/core/error.h"
#include "support.h"
#include "text/corpus.h"

namespace accrue {
namespace {

using namespace std::string_literals;
using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

// {"text": "ab"} and {"text": "cd"} with a line break: Python's gzip.compress
// and the program zstd.
const std::string kGzipAb =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2"
    "\x52\x50\x4a\x4c\x52\xaa\xe5\x02\x00\xf1\x3d\xad\x1b\x0f\x00\x00\x00"s;
const std::string kGzipCd =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2"
    "\x52\x50\x4a\x4e\x51\xaa\xe5\x02\x00\x4d\x31\x06\x44\x0f\x00\x00\x00"s;
const std::string kZstdAb =
    "\x28\xb5\x2f\xfd\x04\x58\x79\x00\x00\x7b\x22\x74\x65\x78\x74\x22\x3a\x20"
    "\x22\x61\x62\x22\x7d\x0a\xed\x84\x14\x89"s;
const std::string kZstdTwice =
    "\x28\xb5\x2f\xfd\x04\x58\xe1\x00\x00\x28\xb5\x2f\xfd\x04\x58\x79\x00\x00\x7b\x22\x74\x65\x78\x74\x22\x3a\x20\x22\x61\x62\x22\x7d\x0a\xed\x84\x14\x89\x02\x9c\x42\x37"s;

class DataFilesTest : public ::testing::Test {
 protected:
  Corpus open(std::vector<std::string> paths, ProgressCallback progress = {}) {
    return Corpus::open(
        {.paths = std::move(paths), .cache = folder_ / "cache", .seq_len = 100},
        progress);
  }

  Corpus open(const std::string& name, const std::string& contents) {
    return open({folder_.write(name, contents)});
  }

  std::string error(const std::string& name, const std::string& contents) {
    std::string path = folder_.write(name, contents);
    std::string message = message_of<DataError>([&] { open({path}); });
    expect_contains(message, "[data] ");
    expect_contains(message, path);
    return message;
  }

  static std::string text_of(const Corpus& corpus) {
    std::string text;
    for (int64_t token : corpus.tokens(0, corpus.num_tokens())) {
      text += token == 0 ? '|' : static_cast<char>(token);
    }
    return text;
  }

  size_t cache_entries() const {
    size_t count = 0;
    for (auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
      count += entry.path().extension() == ".json" ? 1 : 0;
    }
    return count;
  }

  TemporaryFolder folder_;
};

TEST_F(DataFilesTest, ArraysAreRecordsWhateverTheNameSays) {
  for (const char* name : {"a.json", "a.jsonl", "a.ndjson"}) {
    EXPECT_EQ(
        text_of(open(name, "[\n  {\n\"text\": \"a\"\n},{\"text\": \"b\"}]\n")),
        "a|b|");
    EXPECT_EQ(
        text_of(open(name, "{\n\"text\": \"a\"\n}\n{\"text\":\n\"b\"}")),
        "a|b|");
    EXPECT_EQ(text_of(open(name, "{\"text\": \"a\"}\r\n")), "a|");
  }
}

TEST_F(DataFilesTest, CompressedFilesAreRead) {
  EXPECT_EQ(text_of(open("a.jsonl.gz", kGzipAb)), "ab|");
  EXPECT_EQ(text_of(open("a.json.gz", kGzipAb)), "ab|");
  EXPECT_EQ(text_of(open("a.jsonl.zst", kZstdAb)), "ab|");
  EXPECT_EQ(text_of(open("a.txt.GZ", kGzipAb)), "{\"text\": \"ab\"}\n|");
  EXPECT_EQ(text_of(open("a.txt.zst", kZstdAb)), "{\"text\": \"ab\"}\n|");
  // Members and frames one after another, and zeros at the end.
  EXPECT_EQ(
      text_of(open("b.jsonl.gz", kGzipAb + kGzipCd + std::string(9, '\0'))),
      "ab|cd|");
  EXPECT_EQ(text_of(open("b.jsonl.zst", kZstdAb + kZstdAb)), "ab|ab|");
}

TEST_F(DataFilesTest, DamagedCompressedFilesAreNamed) {
  for (const auto& [name, good] :
       {std::pair{"a.jsonl.gz", kGzipAb}, std::pair{"a.jsonl.zst", kZstdAb}}) {
    for (size_t size = 0; size < good.size(); ++size) {
      expect_contains(error(name, good.substr(0, size)), "is cut short");
    }
    std::string flipped = good;
    flipped[flipped.size() - 1] ^= 1; // of the length or the checksum
    expect_contains(error(name, flipped), "is damaged");
    expect_contains(error(name, good + "more"), "is damaged");
    expect_contains(error(name, "{\"text\": \"ab\"}\n"), "is damaged or not");
  }
  expect_contains(error("b.txt.gz", kGzipAb + "\x1f\x8b"s), "is cut short");
}

TEST_F(DataFilesTest, ByteOrderMarkIsNoText) {
  EXPECT_EQ(text_of(open("a.txt", "\xef\xbb\xbfx")), "x|");
  EXPECT_EQ(text_of(open("a.jsonl", "\xef\xbb\xbf{\"text\": \"a\"}")), "a|");
  EXPECT_EQ(text_of(open("a.json", "\xef\xbb\xbf[{\"text\": \"a\"}]")), "a|");
  // Anywhere else it is a character.
  EXPECT_EQ(text_of(open("b.txt", "x\xef\xbb\xbf")), "x\xef\xbb\xbf|");
  expect_contains(error("c.txt", "\xef\xbb\xbf"), "is empty");
  // Places in the file are those that an editor shows.
  expect_contains(error("d.jsonl", "\xef\xbb\xbfx"), "column 1:");
  expect_contains(
      error("e.txt", "\xef\xbb\xbf\n\xff"), "byte 4 is 0xff (line 2)");
}

TEST_F(DataFilesTest, Utf16IsNamedWithTheRemedy) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"\xff\xfe{\0}\0"s, "iconv -f UTF-16 -t UTF-8"},
      {"\xfe\xff\0{\0}"s, "iconv -f UTF-16 -t UTF-8"},
      {"\xff\xfe\0\0{\0\0\0"s, "iconv -f UTF-32 -t UTF-8"},
      {"{\0\"\0t\0\"\0}\0"s, "iconv -f UTF-16LE -t UTF-8"},
      {"\0{\0\"\0t\0\"\0}"s, "iconv -f UTF-16BE -t UTF-8"}};
  for (const auto& [text, remedy] : cases) {
    expect_contains(error("a.jsonl", text), remedy);
    expect_contains(error("a.txt", text), remedy);
  }
  expect_contains(error("a b.txt", "\xff\xfe{\0"s), "a b.utf8.txt'");
}

TEST_F(DataFilesTest, JsonErrorsNameLineColumnAndCause) {
  const std::string text =
      "{\"text\": \"a\"}\n{\"text\": \"\xc3\xa9\xe6\xbc\xa2\", \"n\": NaN}\n";
  std::string path = (folder_ / "a.jsonl").string();
  EXPECT_EQ(
      error("a.jsonl", text),
      "[data] line 2 of " + path +
          ", column 21: is not valid JSON: NaN and Infinity are not JSON "
          "values; write null. Fix the line or pass --skip-bad-lines.");
  // In a record over several lines.
  expect_contains(
      error("b.json", "[{\n\"text\": \"a\",\n  \"text\": \"b\"}]"),
      "column 8: is not valid JSON: the key \"text\" stands twice");
  expect_contains(error("c.json", "[{},\n\n  ]"), "line 3 of");
  expect_contains(error("c.json", "[{},\n\n  ]"), "column 3: a comma");
}

TEST_F(DataFilesTest, MalformedRecordsOfAnArrayCanBeSkipped) {
  std::string path = folder_.write(
      "a.json",
      "[{\"text\": \"a\"}, {\"text\": NaN}, 7,\n{\"text\": \"\\ud83d\"},\n"
      "{\"text\": \"b\", \"text\": \"c\"}, {\"text\": \"d\"}]");
  Corpus corpus = Corpus::open(
      {.paths = {path}, .skip_bad_lines = true, .cache = folder_ / "cache"});
  EXPECT_EQ(text_of(corpus), "a|d|");
  EXPECT_EQ(corpus.counts().bad_lines, 4U);
}

TEST_F(DataFilesTest, ShapesAreTheSameDataAsTheirConversion) {
  Corpus want = open(
      "want.jsonl",
      "{\"prompt\": \"a\\n\\nb\", \"completion\": \"c\"}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"d\"},"
      " {\"role\": \"assistant\", \"content\": \"e\"}]}\n");
  Corpus got = open(
      "got.json",
      "[{\"instruction\": \"a\", \"input\": \"b\", \"output\": \"c\"},"
      "{\"conversations\": [{\"from\": \"human\", \"value\": \"d\"},"
      " {\"from\": \"gpt\", \"value\": \"e\"}]}]");
  EXPECT_EQ(got.kind(), ExampleKind::kChat);
  EXPECT_EQ(text_of(got), "a\n\nbc|de|");
  EXPECT_EQ(got.digest(), want.digest());
}

TEST_F(DataFilesTest, TablesAndArchivesAreRefusedWithTheWayOut) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"a.csv", "pandas.read_csv(sys.argv[1]).to_json(sys.argv[2], "},
      {"a.CSV.gz", "pandas.read_csv("},
      {"a.tsv", "sep='\\t'"},
      {"a.parquet", "pandas.read_parquet("},
      {"a.arrow", "datasets.Dataset.from_file("},
      {"a.feather", "pandas.read_feather("},
      {"a.xlsx", "pandas.read_excel("},
      {"a.zip", "unzip"},
      {"a.tar.gz", "tar -xf"},
      {"a.tgz", "tar -xf"},
      {"a.xz", "xz -dk"}};
  for (const auto& [name, remedy] : cases) {
    expect_contains(error(name, "a,b\n1,2\n"), remedy);
  }
  expect_contains(error("it's a.csv", "a,b\n"), "it'\\''s a.csv' '");
  expect_contains(error("a.csv.gz", "a,b\n"), "/a.csv.gz ");
  expect_contains(error("a.csv.gz", "a,b\n"), "/a.jsonl");
  auto message = message_of<DataError>([&] {
    open({folder_.write("b.csv", "x"), folder_.write("c.parquet", "x"), "/no"});
  });
  for (const char* part :
       {"3 problems", "b.csv", "c.parquet", "/no does not"}) {
    expect_contains(message, part);
  }
}

TEST_F(DataFilesTest, BinaryFormatsUnderAWrongNameAreNamed) {
  const std::string parquet = "PAR1\x15\x04\x15\xff\x80\0\x15\x04PAR1"s;
  for (const char* name : {"a.txt", "a.jsonl", "a", "a.json"}) {
    expect_contains(error(name, kGzipAb), "is gzip data. Give it the name");
    expect_contains(error(name, kZstdAb), ".zst");
    expect_contains(error(name, parquet), "is a Parquet table. Convert it");
    expect_contains(error(name, "PK\x03\x04\x14\0\0\0"s), "is a zip archive");
  }
  expect_contains(
      error("twice.gz.zst", kZstdTwice), "holds zstd data. Decompress it");
  // Text may begin like a format.
  EXPECT_EQ(text_of(open("b.txt", "PAR1 of BZh")), "PAR1 of BZh|");
}

TEST_F(DataFilesTest, FoldersTakeTheNewKindsAndSayWhatTheyLeaveOut) {
  std::filesystem::create_directories(folder_ / "d" / "deep");
  folder_.write("d/a.json", "[{\"text\": \"1\"}]");
  folder_.write("d/b.JSONL", "{\"text\": \"2\"}");
  folder_.write("d/c.jsonl.gz", kGzipAb);
  folder_.write("d/deep/d.ndjson.zst", kZstdAb);
  folder_.write("d/deep/e.TXT", "3");
  folder_.write("d/f.parquet", "x");
  folder_.write("d/g.csv.gz", "x");
  folder_.write("d/deep/g.csv.gz", "x");
  folder_.write("d/LICENSE", "x");
  std::filesystem::create_directory_symlink(
      folder_ / "d" / "deep", folder_ / "d" / "link");
  Corpus corpus = open({(folder_ / "d").string()});
  EXPECT_EQ(text_of(corpus), "1|2|ab|ab|3|");
  const LeftOut want{
      {".csv.gz", 2},
      {".parquet", 1},
      {"linked folder", 1},
      {"without extension", 1}};
  EXPECT_EQ(corpus.left_out(), want);
  expect_contains(
      left_out_line(want),
      "left out     2 .csv.gz, 1 .parquet, 1 linked folder, 1 without");
  // Also when the tokens come from the cache.
  EXPECT_EQ(open({(folder_ / "d").string()}).left_out(), want);
  std::filesystem::create_directories(folder_ / "tables");
  folder_.write("tables/a.csv", "x");
  expect_contains(
      message_of<DataError>([&] { open({(folder_ / "tables").string()}); }),
      "It has 1 .csv.");
}

TEST_F(DataFilesTest, CacheKnowsContentsNotNames) {
  std::string path = folder_.write("a.txt", "abc");
  auto time = std::filesystem::last_write_time(path);
  EXPECT_EQ(text_of(open({path})), "abc|");
  // Control: a hit leaves the tokens alone, and is told by them.
  for (auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
    if (entry.path().extension() == ".tokens") {
      std::ofstream(entry.path(), std::ios::binary) << "ABC" << '\0';
    }
  }
  EXPECT_EQ(text_of(open({path})), "ABC|");
  // The same contents elsewhere, at another time.
  std::filesystem::create_directories(folder_ / "moved");
  std::filesystem::rename(path, folder_ / "moved" / "b.txt");
  path = (folder_ / "moved" / "b.txt").string();
  std::filesystem::last_write_time(path, time + std::chrono::hours(1));
  EXPECT_EQ(text_of(open({path})), "ABC|");
  // Other contents of the same size, with the old time.
  folder_.write("moved/b.txt", "xyz");
  std::filesystem::last_write_time(path, time);
  EXPECT_EQ(text_of(open({path})), "xyz|");
  EXPECT_EQ(cache_entries(), 2U);
  // The same bytes as records are not the same data; nor is another order.
  std::string line = "{\"text\": \"a\"}\n";
  EXPECT_EQ(text_of(open("c.txt", line)), line + "|");
  EXPECT_EQ(text_of(open("c.jsonl", line)), "a|");
  std::string c = folder_.write("c", "c");
  std::string d = folder_.write("d", "d");
  EXPECT_EQ(text_of(open({c, d})), "c|d|");
  EXPECT_EQ(text_of(open({d, c})), "d|c|");
}

TEST_F(DataFilesTest, FileChangedWhileItIsReadIsNoticed) {
  std::string path = folder_.write("a.txt", "abc");
  auto change = [&](const std::string& what, uint64_t, uint64_t) {
    if (what == "reading text") {
      std::ofstream(path, std::ios::app) << "d";
    }
  };
  expect_contains(
      message_of<DataError>([&] { open({path}, change); }),
      "was changed while it was read");
  EXPECT_EQ(cache_entries(), 0U);
  EXPECT_EQ(text_of(open({path})), "abcd|");
}

} // namespace
} // namespace accrue
