#include <gtest/gtest.h>

#include <set>

#include "accrue/core/error.h"
#include "support.h"
#include "text/dataset.h"
#include "text/order.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

class CorpusTest : public ::testing::Test {
 protected:
  Corpus open(std::vector<std::string> paths, bool skip_bad_lines = false) {
    return Corpus::open(
        {.paths = std::move(paths),
         .skip_bad_lines = skip_bad_lines,
         .cache = folder_ / "cache"});
  }

  std::string error(const std::string& path) {
    auto message = message_of<DataError>([&] { open({path}); });
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

  TemporaryFolder folder_;
};

TEST_F(CorpusTest, DocumentsEndWithTheSeparator) {
  auto txt = folder_.write("a.txt", "abc");
  auto jsonl = folder_.write(
      "b.jsonl",
      "{\"text\": \"d\\u00e9\"}\n\n{\"text\": \"\"}\n{\"text\":\"f\"}");
  Corpus corpus = open({txt, jsonl});
  EXPECT_EQ(text_of(corpus), "abc|d\xc3\xa9|f|");
  EXPECT_EQ(corpus.num_documents(), 3U);
  EXPECT_EQ(corpus.document_end(0), 4U);
  EXPECT_EQ(corpus.document_end(2), corpus.num_tokens());
}

TEST_F(CorpusTest, FoldersAreReadInOrderOfPath) {
  std::filesystem::create_directories(folder_ / "text" / "deep");
  folder_.write("text/b.txt", "2");
  folder_.write("text/a.txt", "1");
  folder_.write("text/deep/c.jsonl", "{\"text\": \"3\"}");
  folder_.write("text/ignored.bin", std::string(1, '\0'));
  EXPECT_EQ(text_of(open({(folder_ / "text").string()})), "1|2|3|");
}

TEST_F(CorpusTest, CacheIsUsedUntilAFileChanges) {
  auto path = folder_.write("a.txt", "abc");
  open({path});
  auto entries = [&] {
    int count = 0;
    for (auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
      count += entry.path().extension() == ".json" ? 1 : 0;
    }
    return count;
  };
  open({path});
  EXPECT_EQ(entries(), 1);
  folder_.write("a.txt", "abcd");
  EXPECT_EQ(text_of(open({path})), "abcd|");
  EXPECT_EQ(entries(), 2);
}

TEST_F(CorpusTest, TruncatedCacheIsNoticed) {
  auto path = folder_.write("a.txt", "abc");
  open({path});
  for (auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
    if (entry.path().extension() == ".tokens") {
      std::filesystem::resize_file(entry.path(), 2);
    }
  }
  expect_contains(
      message_of<DataError>([&] { open({path}); }), "cached tokens");
}

TEST_F(CorpusTest, CharactersAcrossBlocksAreWhole) {
  std::string text = "a"; // odd, so that no block of 4 MiB ends well
  while (text.size() < (9 << 20)) {
    text += "\xe2\x82\xac";
  }
  Corpus corpus = open({folder_.write("euro.txt", text)});
  EXPECT_EQ(text_of(corpus), text + "|");
  text[(8 << 20) + 2] = '\x80';
  expect_contains(error(folder_.write("bad.txt", text)), "byte 8388610");
}

TEST_F(CorpusTest, BadFilesAreNamed) {
  expect_contains(error((folder_ / "none.txt").string()), "does not exist");
  expect_contains(error(folder_.write("empty.txt", "")), "is empty");
  expect_contains(
      error(folder_.write("binary.txt", std::string("ab\0c", 4))),
      "byte 2 is 0x00");
  expect_contains(error(folder_.write("cut.txt", "caf\xc3")), "byte 3 is 0xc3");
  expect_contains(error(folder_.write("latin.txt", "caf\xe9 x")), "iconv");
  expect_contains(
      error(folder_.write("blank.jsonl", "\n\n")), "no document with text");
  std::filesystem::create_directories(folder_ / "hollow");
  expect_contains(error((folder_ / "hollow").string()), "no .txt or .jsonl");
  expect_contains(
      message_of<DataError>([] { Corpus::open({.paths = {"/dev/null"}}); }),
      "neither a file nor a folder");
}

TEST_F(CorpusTest, AllMissingPathsAreListed) {
  auto message = message_of<DataError>([&] { open({"/no/1", "/no/2"}); });
  expect_contains(message, "/no/1");
  expect_contains(message, "/no/2");
}

TEST_F(CorpusTest, BadLinesAreNamedWithTheirNumber) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"[1]", "must be an object, got an array"},
      {"{\"txt\": \"x\"}", "has no \"text\""},
      {"{\"text\": 5}", "\"text\" must be a string, got a number"},
      {"{\"text\": null}", "got null"},
      {"{\"text\": \"x\"", "is not valid JSON"},
      {"{\"text\": \"\xff\"}", "is not valid JSON"},
      {"{\"text\": \"a\\u0000b\"}", "NUL"},
  };
  for (const auto& [line, what] : cases) {
    auto path =
        folder_.write("bad.jsonl", "{\"text\": \"good\"}\n\n" + line + "\n");
    auto message = error(path);
    expect_contains(message, "line 3 of");
    expect_contains(message, what);
    expect_contains(message, "--skip-bad-lines");
  }
}

TEST_F(CorpusTest, SkippedLinesAreCountedAlsoFromTheCache) {
  auto path = folder_.write(
      "bad.jsonl", "{\"text\": \"a\"}\nnonsense\n7\n{\"text\": \"b\"}\n");
  for (int i = 0; i < 2; ++i) {
    Corpus corpus = open({path}, /*skip_bad_lines=*/true);
    EXPECT_EQ(text_of(corpus), "a|b|");
    EXPECT_EQ(corpus.skipped_lines(), 2U);
  }
}

class DatasetTest : public CorpusTest {
 protected:
  std::shared_ptr<const Corpus> corpus_ = std::make_shared<Corpus>(open(
      {folder_.write("a.txt", "abcdefghij"),
       folder_.write("b.txt", "k"),
       folder_.write("c.txt", "lmnop")})); // abcdefghij|k|lmnop|

  static std::string show(const Sample& sample) {
    std::string text;
    for (int64_t token : sample.tokens) {
      text += token == 0 ? '|' : static_cast<char>(token);
    }
    return text;
  }
};

TEST_F(DatasetTest, PackedSamplesCoverEveryTargetOnce) {
  Dataset dataset(corpus_, 4, /*packing=*/true);
  ASSERT_EQ(dataset.size(), 5U);
  EXPECT_EQ(show(dataset.sample(0)), "abcde");
  EXPECT_EQ(show(dataset.sample(2)), "ij|k|");
  EXPECT_EQ(show(dataset.sample(4)), "op|"); // short, but not lost
  EXPECT_EQ(dataset.max_length(), 4);
  int64_t targets = 0;
  for (uint64_t i = 0; i < dataset.size(); ++i) {
    EXPECT_EQ(dataset.sample(i).length(), dataset.length(i));
    targets += dataset.length(i);
  }
  EXPECT_EQ(targets, static_cast<int64_t>(corpus_->num_tokens()) - 1);
}

TEST_F(DatasetTest, WithoutPackingNoSampleCrossesADocument) {
  Dataset dataset(corpus_, 4, /*packing=*/false);
  std::vector<std::string> samples;
  for (uint64_t i = 0; i < dataset.size(); ++i) {
    samples.push_back(show(dataset.sample(i)));
    EXPECT_EQ(dataset.sample(i).id, i);
  }
  EXPECT_EQ(
      samples,
      (std::vector<std::string>{"abcde", "efghi", "ij|", "k|", "lmnop", "p|"}));
}

TEST_F(DatasetTest, PartKeepsTheIds) {
  Dataset whole(corpus_, 4, true);
  Dataset part(whole, 3, 5);
  EXPECT_EQ(part.size(), 2U);
  EXPECT_EQ(part.sample(1).id, 4U);
  EXPECT_EQ(part.sample(1).tokens, whole.sample(4).tokens);
}

TEST(SampleOrderTest, EveryEpochIsAPermutationOfItsOwn) {
  SampleOrder order(10, 3);
  std::vector<uint64_t> first;
  std::vector<uint64_t> second;
  for (uint64_t i = 0; i < 10; ++i) {
    first.push_back(order.at(i));
    second.push_back(order.at(10 + i));
  }
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 10U);
  EXPECT_EQ(std::set(second.begin(), second.end()).size(), 10U);
  EXPECT_NE(first, second);
}

} // namespace
} // namespace accrue
