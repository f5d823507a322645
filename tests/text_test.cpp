// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "corpus_fixture.h"
#include "text/dataset.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;

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
  std::string text = "a"; // odd, so that no block ends well
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
      error(folder_.write("blank.jsonl", "\n\n")), "holds nothing to train on");
  std::filesystem::create_directories(folder_ / "hollow");
  expect_contains(error((folder_ / "hollow").string()), "no .txt, .json");
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
    EXPECT_EQ(corpus.counts().bad_lines, 2U);
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
    for (int64_t token : sample.sequences.at(0).tokens) {
      text += token == 0 ? '|' : static_cast<char>(token);
    }
    return text;
  }
};

TEST_F(DatasetTest, PackedSamplesCoverEveryTargetOnce) {
  Dataset dataset(corpus_, 4, Packing::kOn);
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

TEST_F(DatasetTest, PackedDocumentsKeepApart) {
  Dataset on(corpus_, 4, Packing::kOn);
  Dataset dataset(corpus_, 4, Packing::kDocuments);
  ASSERT_EQ(dataset.size(), on.size());
  std::vector<int64_t> ends; // one past each document's last token
  for (uint64_t i = 0; i < corpus_->num_documents(); ++i) {
    ends.push_back(static_cast<int64_t>(corpus_->document_end(i)));
  }
  std::set<uint64_t> ids;
  std::vector<int64_t> targets; // of all samples, as places in the corpus
  for (uint64_t i = 0; i < dataset.size(); ++i) {
    Sample sample = dataset.sample(i);
    EXPECT_EQ(sample.length(), dataset.length(i));
    EXPECT_GT(sample.length(), 0);
    for (const Sequence& sequence : sample.sequences) {
      EXPECT_TRUE(ids.insert(sequence.id).second);
      uint64_t begin = sequence.id; // the place of its first token
      EXPECT_EQ(
          sequence.tokens,
          corpus_->tokens(begin, begin + sequence.tokens.size()));
      for (int64_t t = 1; t <= sequence.length(); ++t) {
        targets.push_back(static_cast<int64_t>(begin) + t);
      }
    }
  }
  // Every token but the first of each document, once.
  std::vector<int64_t> expected;
  for (int64_t i = 1; i < static_cast<int64_t>(corpus_->num_tokens()); ++i) {
    if (std::ranges::find(ends, i) == ends.end()) {
      expected.push_back(i);
    }
  }
  EXPECT_EQ(targets, expected);
}

TEST_F(DatasetTest, WithoutPackingNoSampleCrossesADocument) {
  Dataset dataset(corpus_, 4, Packing::kOff);
  std::vector<std::string> samples;
  for (uint64_t i = 0; i < dataset.size(); ++i) {
    samples.push_back(show(dataset.sample(i)));
    EXPECT_EQ(dataset.sample(i).id, i);
  }
  EXPECT_EQ(
      samples,
      (std::vector<std::string>{"abcde", "efghi", "ij|", "k|", "lmnop", "p|"}));
}

TEST_F(DatasetTest, SplitHoldsSamplesBackByTheirContents) {
  // Ten words of four letters, each twice, packed to one sample each.
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += std::string(4, static_cast<char>('a' + i % 10));
  }
  auto corpus = std::make_shared<Corpus>(open({folder_.write("w.txt", text)}));
  Dataset whole(corpus, 4, Packing::kOn);
  ASSERT_EQ(whole.size(), 20U); // "aaaab", …, the last "jjjj|"
  auto [rest, held] = whole.split(0.25);
  EXPECT_EQ(held.size() + rest.size(), 20U);
  EXPECT_GT(held.size(), 0U);
  EXPECT_LT(held.size(), 12U); // 5 ± 2.7, in pairs
  std::map<uint64_t, std::string> found;
  std::map<std::string, int> sides;
  for (const auto& [part, side] : {std::pair(&held, 1), std::pair(&rest, 2)}) {
    for (uint64_t i = 0; i < part->size(); ++i) {
      Sample sample = part->sample(i);
      EXPECT_TRUE(found.emplace(sample.id, show(sample)).second);
      EXPECT_EQ(show(sample), show(whole.sample(sample.id)));
      EXPECT_EQ(part->length(i), sample.length());
      sides[show(sample)] |= side;
    }
  }
  EXPECT_EQ(found.size(), whole.size());
  for (const auto& [sample, side] : sides) {
    EXPECT_NE(side, 3) << sample << " is on both sides";
  }
  EXPECT_EQ(whole.split(0.25).held.digest(), held.digest());
  EXPECT_NE(whole.split(0.9).held.digest(), held.digest());
  EXPECT_EQ(whole.split(1e-9).held.size(), 2U); // a pair
  EXPECT_EQ(whole.split(1 - 1e-9).rest.size(), 2U);
}

TEST_F(DatasetTest, SplitDoesNotDependOnWhatElseThereIs) {
  std::string lines;
  for (int i = 0; i < 600; ++i) {
    lines += "{\"text\": \"sample " + std::to_string(i * 7919 % 600) + "\"}\n";
  }
  auto held = [&](const std::string& name, const std::string& text) {
    auto corpus = std::make_shared<Corpus>(open({folder_.write(name, text)}));
    Dataset whole(corpus, 100, Packing::kOff);
    Dataset part = whole.split(0.1).held;
    std::set<std::string> texts;
    for (uint64_t i = 0; i < part.size(); ++i) {
      texts.insert(show(part.sample(i)));
    }
    return texts;
  };
  auto all = held("all.jsonl", lines);
  // Five standard deviations of a binomial.
  EXPECT_NEAR(static_cast<double>(all.size()), 60, 37);
  size_t half = lines.find('\n', lines.size() / 2) + 1;
  auto first = held("first.jsonl", lines.substr(0, half));
  auto second = held("second.jsonl", lines.substr(half));
  EXPECT_GT(first.size(), 0U);
  first.merge(second);
  EXPECT_EQ(first, all);
}

TEST_F(DatasetTest, ConcatenatedDatasetsAreOne) {
  auto other = std::make_shared<Corpus>(
      open({folder_.write("other.txt", "qrstuvwxyz")}));
  Dataset first(corpus_, 4, Packing::kOn);
  Dataset second(other, 5, Packing::kOn);
  ConcatDataset both({first, second});
  ASSERT_EQ(both.size(), 7U);
  EXPECT_EQ(show(both.sample(4)), "op|");
  EXPECT_EQ(show(both.sample(5)), "qrstuv");
  EXPECT_EQ(both.sample(6).id, 6U);
  EXPECT_EQ(both.length(6), both.sample(6).length());
  EXPECT_EQ(both.longest(), 5U);
  EXPECT_EQ(both.max_length(), 5);
  std::set<uint64_t> ids;
  for (uint64_t i = 0; i < both.size(); ++i) {
    ids.insert(both.sample(i).sequences.at(0).id);
  }
  EXPECT_EQ(ids.size(), both.size());
  EXPECT_EQ(ConcatDataset(first).sample(3).sequences.at(0).id, 3U);
}

/// A text of many blocks, with all that blocks could cut wrongly.
std::string long_text() {
  std::string text;
  for (int i = 0; text.size() < (400 << 10); ++i) {
    text += i % 7 == 0 ? "\n\nCall me  Ishmael.\n" : " some years ago, ";
    text += i % 11 == 0 ? "\xe6\xbc\xa2\xe5\xad\x97 e\xcc\x81" : "never mind";
    text += std::to_string(i);
  }
  return text;
}

class TokenizedCorpusTest : public CorpusTest,
                            public ::testing::WithParamInterface<const char*> {
};

INSTANTIATE_TEST_SUITE_P(
    Tokenizers,
    TokenizedCorpusTest,
    ::testing::Values("gpt2", "llama3", "llama2", "qwen2", "roberta"),
    [](const auto& name) { return std::string(name.param); });

TEST_P(TokenizedCorpusTest, IdsAreThoseOfTheWholeTextOnAnyNumberOfThreads) {
  std::filesystem::create_directories(folder_ / "model");
  std::filesystem::copy_file(
      std::filesystem::path(ACCRUE_ORACLE_DIR) / "tokenizers" /
          (std::string(GetParam()) + ".json"),
      folder_ / "model" / "tokenizer.json");
  folder_.write("model/config.json", "{}");
  Vocabulary vocabulary = Vocabulary::open(folder_ / "model", /*config_eos=*/0);
  std::string text = long_text();
  Vocabulary::Encoder encode(vocabulary);
  std::vector<uint32_t> want = encode(text, {});
  want.push_back(0);
  std::string path = folder_.write("long.txt", text);
  for (int threads : {1, 4}) {
    Corpus corpus = Corpus::open(
        {.paths = {path},
         .cache = folder_ / ("cache" + std::to_string(threads)),
         .vocabulary = vocabulary,
         .threads = threads});
    auto got = corpus.tokens(0, corpus.num_tokens());
    EXPECT_EQ(std::vector<uint32_t>(got.begin(), got.end()), want);
  }
}

} // namespace
} // namespace accrue
