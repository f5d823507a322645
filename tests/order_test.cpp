// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "support.h"
#include "text/mixture.h"
#include "text/order.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::TemporaryFolder;

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
