// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "support.h"
#include "text/dataset.h"
#include "text/mixture.h"
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

/// JSON written over several lines, on one.
std::string line(std::string json) {
  std::erase(json, '\n');
  return json + "\n";
}

/// Conversations in the plain format of bytes: what is trained on in capitals.
class ExampleTest : public CorpusTest {
 protected:
  std::shared_ptr<const Corpus> open_examples(
      const std::string& lines,
      int64_t seq_len = 100,
      TooLong too_long = TooLong::kTruncate,
      bool preference = false) {
    return std::make_shared<Corpus>(Corpus::open(
        {.paths = {folder_.write("examples.jsonl", lines)},
         .cache = folder_ / "cache",
         .preference = preference,
         .seq_len = seq_len,
         .too_long = too_long}));
  }

  static std::string show(const Sequence& sequence) {
    std::string text;
    for (size_t t = 0; t < sequence.tokens.size(); ++t) {
      int64_t token = sequence.tokens[t];
      char c = token == 0 ? '|' : static_cast<char>(token);
      bool trained = t > 0 && sequence.loss_mask.at(t - 1) != 0;
      text += trained ? static_cast<char>(std::toupper(c)) : c;
    }
    return text;
  }

  std::string lines_error(const std::string& lines, bool preference = false) {
    return message_of<DataError>(
        [&] { open_examples(lines, 4, TooLong::kError, preference); });
  }
};

TEST_F(ExampleTest, OnlyTheAssistantIsTrainedOn) {
  auto corpus = open_examples(
      line(R"({"prompt": "ask ", "completion": "answer"})") +
      line(R"({"messages": [{"role": "system", "content": "s "},
         {"role": "user", "content": "u "}, {"role": "assistant", "content": "a"},
         {"role": "user", "content": " v "},
         {"role": "assistant", "content": "b"}]})"));
  EXPECT_EQ(corpus->kind(), ExampleKind::kChat);
  Dataset dataset(corpus, 100, Packing::kOn);
  ASSERT_EQ(dataset.size(), 2U);
  EXPECT_EQ(show(dataset.sample(0).sequences.at(0)), "ask ANSWER|");
  EXPECT_EQ(show(dataset.sample(1).sequences.at(0)), "s u A| v B|");
  EXPECT_EQ(dataset.max_length(), 10);
}

TEST_F(ExampleTest, TooLongIsCutDroppedOrAnError) {
  const std::string lines =
      line(R"({"prompt": "ab", "completion": "cdefgh"})") +
      line(R"({"prompt": "a", "completion": "b"})") +
      line(R"({"prompt": "abcdefgh", "completion": "i"})");
  auto cut = open_examples(lines, 4, TooLong::kTruncate);
  Dataset dataset(cut, 4, Packing::kOn);
  EXPECT_EQ(show(dataset.sample(0).sequences.at(0)), "abCDE");
  EXPECT_EQ(show(dataset.sample(1).sequences.at(0)), "aB|");
  EXPECT_EQ(dataset.size(), 2U); // nothing of the third's answer is left
  EXPECT_EQ(cut->counts().truncated, 1U);
  EXPECT_EQ(cut->counts().dropped, 1U);
  auto drop = open_examples(lines, 4, TooLong::kDrop);
  EXPECT_EQ(Dataset(drop, 4, Packing::kOn).size(), 1U);
  EXPECT_EQ(drop->counts().dropped, 2U);
  expect_contains(lines_error(lines), "line 1 of");
  expect_contains(lines_error(lines), "9 tokens, more than --seq-len 4");
}

TEST_F(ExampleTest, PreferencesAreTwoAnswersToOnePrompt) {
  auto corpus = open_examples(
      line(R"({"prompt": "p ", "chosen": "yes", "rejected": "no"})") +
          line(R"({"prompt": [{"role": "user", "content": "q "},
          {"role": "assistant", "content": "r "},
          {"role": "user", "content": "s "}],
          "chosen": [{"role": "assistant", "content": "t"}], "rejected": "u"})"),
      100,
      TooLong::kTruncate,
      /*preference=*/true);
  Dataset dataset(corpus, 100, Packing::kOn);
  ASSERT_EQ(dataset.size(), 2U);
  Sample first = dataset.sample(0);
  EXPECT_EQ(show(first.sequences.at(0)), "p YES|");
  EXPECT_EQ(show(first.sequences.at(1)), "p NO|");
  EXPECT_EQ(first.length(), dataset.length(0));
  // An answer inside the prompt is not what is preferred.
  EXPECT_EQ(show(dataset.sample(1).sequences.at(0)), "q r |s T|");
}

TEST_F(ExampleTest, BadLinesSayWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"messages": "x"})", "\"messages\" must be an array, got a string"},
      {R"({"messages": [{"role": "user", "content": "x"}]})",
       "no message of the assistant"},
      {R"({"messages": [{"role": "wizard", "content": "x"}]})",
       "no form for the role \"wizard\""},
      {R"({"messages": [{"content": "x"}]})", "has no \"role\""},
      {R"({"messages": [3]})", "must be an object, got a number"},
      {R"({"prompt": "x"})", "has no \"completion\""},
      {R"({"prompt": 1, "completion": "x"})", "\"prompt\" must be a string"},
      {R"({"prompt": "a", "chosen": "b", "rejected": "c"})", "--objective dpo"},
      {"{\"text\": \"a\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}",
       "of another kind"}};
  for (const auto& [lines, what] : cases) {
    expect_contains(lines_error(lines + "\n"), what);
  }
  expect_contains(
      lines_error("{\"text\": \"a\"}\n", /*preference=*/true),
      "has no \"chosen\" and \"rejected\"");
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

TEST(SampleOrderTest, EveryEpochIsAPermutationOfItsOwn) {
  SampleOrder order({{.num_samples = 10}}, 3);
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

TEST(SampleOrderTest, MixesByShareThroughEpochsOfEachPart) {
  constexpr uint64_t kBlock = SampleOrder::kBlock;
  SampleOrder order({{100, 7}, {30, 2}, {4000, 1}}, 5);
  EXPECT_EQ(order.in_block(0), kBlock * 7 / 10);
  std::vector<uint64_t> seen[3]; // in order
  uint64_t early = 0; // of the first part, in the first 1000 positions
  for (uint64_t position = 0; position < 3 * kBlock; ++position) {
    uint64_t sample = order.at(position);
    ASSERT_LT(sample, 4130U);
    size_t part = sample < 100 ? 0 : sample < 130 ? 1 : 2;
    seen[part].push_back(sample);
    early += position < 1000 && part == 0 ? 1 : 0;
    if (position + 1 == kBlock) {
      EXPECT_EQ(seen[0].size(), kBlock * 7 / 10);
      EXPECT_EQ(seen[1].size(), kBlock * 2 / 10);
    }
  }
  // Six standard deviations of a draw without replacement.
  EXPECT_NEAR(static_cast<double>(early), 700, 83);
  // Three blocks go 210 times through the first part, 200 times through the
  // second, and not once through the third: each as evenly as can be.
  auto counts = [](const std::vector<uint64_t>& list) {
    std::map<uint64_t, uint64_t> times;
    for (uint64_t sample : list) {
      ++times[sample];
    }
    return times;
  };
  for (const auto& [sample, count] : counts(seen[0])) {
    EXPECT_EQ(count, 210U) << sample;
  }
  for (const auto& [sample, count] : counts(seen[1])) {
    EXPECT_EQ(count, 200U) << sample;
  }
  EXPECT_EQ(counts(seen[2]).size(), 3000U);
  // One part alone has the order that it always had.
  SampleOrder mixed({{100, 1}, {30, 1}}, 5);
  SampleOrder alone({{.num_samples = 100, .share = 0.3}}, 5);
  Permutation epoch(100, mix(5, 0));
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(alone.at(i), epoch(i));
  }
}

TEST(MixtureTest, SharesStandBehindPaths) {
  TemporaryFolder folder;
  const std::string odd = folder.write("a:0.5", "a");
  auto parts = [](std::vector<std::string> data) {
    Problems problems;
    auto list = data_parts(data, problems);
    problems.throw_if_any<ConfigError>("config");
    return list;
  };
  auto mixed = parts({"x/a.jsonl:0.7", "b.txt:3e-1"});
  ASSERT_EQ(mixed.size(), 2U);
  EXPECT_EQ(mixed[0].paths, std::vector<std::string>{"x/a.jsonl"});
  EXPECT_EQ(mixed[0].share, 0.7);
  EXPECT_EQ(mixed[1].share, 0.3);
  auto plain = parts({odd, "b.txt", "c:d"});
  ASSERT_EQ(plain.size(), 1U);
  EXPECT_EQ(plain[0].paths.size(), 3U);
  EXPECT_EQ(parts({odd + ":2"})[0].paths, std::vector<std::string>{odd});
  for (const auto& wrong : std::vector<std::vector<std::string>>{
           {"a:0.5", "b"},
           {"a:0", "b:1"},
           {"a:-1", "b:1"},
           {"a:nan", "b:1"},
           {"a:inf", "b:1"},
           {"a:1e-9", "b:1"}}) {
    EXPECT_THROW(parts(wrong), ConfigError) << wrong[0];
  }
}

} // namespace
} // namespace accrue
