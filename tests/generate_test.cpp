// SPDX-License-Identifier: Apache-2.0
#include "accrue/generate/generate.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <map>
#include <vector>

#include "accrue/core/error.h"

namespace accrue {
namespace {

/// Logits of the probabilities 1/2, 1/4, 1/8, 1/8.
torch::Tensor halves() {
  return torch::tensor({0.5, 0.25, 0.125, 0.125}).log();
}

/// How often each token is drawn in 4000 positions.
std::map<int64_t, int> counts(const SamplingOptions& options) {
  std::map<int64_t, int> counts;
  const Sampler sampler(options);
  for (uint64_t i = 0; i < 4000; ++i) {
    ++counts[sampler.sample(halves(), i)];
  }
  return counts;
}

TEST(SamplerTest, DrawsAsOftenAsProbabilitiesSay) {
  auto all = counts({.temperature = 1, .top_p = 1});
  EXPECT_NEAR(all[0], 2000, 150);
  EXPECT_NEAR(all[1], 1000, 150);
  EXPECT_NEAR(all[2], 500, 100);
  EXPECT_NEAR(all[3], 500, 100);
  // Half the temperature squares the probabilities: 16 : 4 : 1 : 1.
  auto cold = counts({.temperature = 0.5, .top_p = 1});
  EXPECT_NEAR(cold[0], 4000.0 * 16 / 22, 150);
}

TEST(SamplerTest, TopKAndTopPLeaveTheLikeliest) {
  EXPECT_EQ(counts({.temperature = 1, .top_p = 1, .top_k = 2}).size(), 2U);
  EXPECT_EQ(counts({.temperature = 1, .top_p = 0.7}).size(), 2U);
  EXPECT_EQ(counts({.temperature = 1, .top_p = 0.8}).size(), 3U);
  EXPECT_EQ(counts({.temperature = 1, .top_p = 0}).size(), 1U);
  EXPECT_EQ(counts({.temperature = 0, .top_p = 1}).size(), 1U);
}

TEST(SamplerTest, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Sampler({.temperature = -1}), ConfigError);
  EXPECT_THROW(Sampler({.temperature = NAN}), ConfigError);
  EXPECT_THROW(Sampler({.top_p = 1.5}), ConfigError);
  EXPECT_THROW(Sampler({.top_k = -1}), ConfigError);
}

class GenerateTest : public ::testing::Test {
 protected:
  static ModelConfig config() {
    ModelConfig config;
    config.vocab_size = 17;
    config.width = 16;
    config.num_layers = 2;
    config.num_heads = 2;
    config.num_kv_heads = 2;
    config.head_dim = 8;
    config.mlp_width = 32;
    config.max_positions = 12;
    config.init_std = 0.5;
    return config;
  }

  Transformer model_{config(), Dtype::kFp32, /*seed=*/3};
  std::vector<int64_t> prompt_{1, 2, 3};
};

TEST_F(GenerateTest, TokensAreThoseOfTheWholeSequencesLogits) {
  GenerateOptions options{.sampling = {.temperature = 0}, .max_tokens = 5};
  std::vector<int64_t> heard;
  auto tokens = generate(
      model_, prompt_, options, [&](int64_t token) { heard.push_back(token); });
  ASSERT_EQ(tokens.size(), 5U);
  EXPECT_EQ(heard, tokens);
  std::vector<int64_t> sequence = prompt_;
  for (int64_t token : tokens) {
    auto cache = model_.make_cache(12);
    auto logits = model_.next_logits(sequence, *cache);
    EXPECT_EQ(token, logits.argmax().item<int64_t>());
    sequence.push_back(token);
  }
}

TEST_F(GenerateTest, EndsAtAStopTokenOrWithoutPositions) {
  GenerateOptions options{.sampling = {.seed = 5}, .max_tokens = 100};
  auto tokens = generate(model_, prompt_, options);
  EXPECT_EQ(tokens.size(), 9U) << "12 positions, 3 of them the prompt's";
  EXPECT_EQ(generate(model_, prompt_, options), tokens);
  options.stop_tokens = {tokens[2]};
  auto stopped = generate(model_, prompt_, options);
  EXPECT_LE(stopped.size(), 2U);
  EXPECT_TRUE(std::equal(stopped.begin(), stopped.end(), tokens.begin()));
  options.max_tokens = 0;
  EXPECT_TRUE(generate(model_, prompt_, options).empty());
}

TEST_F(GenerateTest, RefusesPromptsWithoutTokensOrPositions) {
  EXPECT_THROW(generate(model_, {}, {}), Error);
  EXPECT_THROW(generate(model_, std::vector<int64_t>(12, 1), {}), DataError);
}

} // namespace
} // namespace accrue
