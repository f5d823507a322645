// SPDX-License-Identifier: Apache-2.0
#include <cctype>
#include <memory>

#include "corpus_fixture.h"
#include "text/dataset.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;

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

} // namespace
} // namespace accrue
