// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "accrue/core/units.h"
#include "core/functions.h"
#include "support.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;

TEST(UnitsTest, SizesOfEverySpelling) {
  EXPECT_EQ(parse_bytes("4096").value, 4096U);
  EXPECT_EQ(parse_bytes("2e9").value, 2'000'000'000U);
  EXPECT_EQ(parse_bytes("512MiB").value, 512U << 20);
  EXPECT_EQ(parse_bytes("1.5GiB").value, 3U << 29);
  EXPECT_EQ(parse_bytes("4 GB").value, 4'000'000'000U);
  EXPECT_EQ(parse_bytes("2G").value, 2ULL << 30);
}

TEST(UnitsTest, BadSizesNameTheText) {
  for (const char* text : {"", "MiB", "-1GiB", "4XiB", "1e30", "nan", "0x10"}) {
    auto message = message_of<ConfigError>([&] { (void)parse_bytes(text); });
    expect_contains(message, std::string("\"") + text + "\"");
  }
}

TEST(UnitsTest, TimesOfEverySpelling) {
  EXPECT_EQ(parse_seconds("90s").value, 90);
  EXPECT_EQ(parse_seconds("0.5s").value, 0.5);
  EXPECT_EQ(parse_seconds("30m").value, 1800);
  EXPECT_EQ(parse_seconds("8h").value, 8 * 3600);
  EXPECT_EQ(parse_seconds("1h30m").value, 5400);
  EXPECT_EQ(parse_seconds("1d2h3m4s").value, 86400 + 2 * 3600 + 3 * 60 + 4);
}

TEST(UnitsTest, BadTimesNameTheTextAndTheForms) {
  for (const char* text :
       {"",
        "90",
        "s",
        "-5s",
        "5 s",
        "30m1h",
        "1h1h",
        "1h30",
        "1e3s",
        "infs",
        "nans",
        "5x",
        "9999999999h",
        "8H"}) {
    auto message = message_of<ConfigError>([&] { (void)parse_seconds(text); });
    expect_contains(message, std::string("\"") + text + "\"");
    expect_contains(message, "90s, 30m, 8h or 1h30m");
  }
}

TEST(UnitsTest, FormatsForPeople) {
  EXPECT_EQ(format_bytes(12), "12 B");
  EXPECT_EQ(format_bytes(312ULL << 20), "312 MiB");
  EXPECT_EQ(format_bytes(3ULL << 29), "1.50 GiB");
  EXPECT_EQ(format_duration(0.25), "250 ms");
  EXPECT_EQ(format_duration(245), "4m 05s");
  EXPECT_EQ(format_duration(7380), "2h 03m");
  EXPECT_EQ(format_count(950), "950");
  EXPECT_EQ(format_count(12345), "12.3k");
}

TEST(ProblemsTest, AllAreReportedAtOnce) {
  Problems problems;
  problems.throw_if_any<ConfigError>("config"); // none: nothing happens
  problems.add("one");
  problems.add("two");
  auto message = message_of<ConfigError>(
      [&] { problems.throw_if_any<ConfigError>("config"); });
  expect_contains(message, "[config] 2 problems");
  expect_contains(message, "- one");
  expect_contains(message, "- two");
}

// kat_vectors of Random123 (Salmon et al.), philox4x32 with 10 rounds.
TEST(PhiloxTest, PublishedVectors) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(
      philox({0, 0}, {0, 0, 0, 0}),
      (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      philox(
          {0xffffffff, 0xffffffff},
          {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
      (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox(
          {0xa4093822, 0x299f31d0},
          {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
      (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRandomTest, NormalHasMeanZeroAndVarianceOne) {
  CounterRandom random(3);
  double sum = 0;
  double squares = 0;
  constexpr int kPairs = 50'000;
  for (uint64_t i = 0; i < kPairs; ++i) {
    for (double value : random.normal(i)) {
      sum += value;
      squares += value * value;
    }
  }
  // Five standard errors of 100,000 draws.
  EXPECT_NEAR(sum / (2 * kPairs), 0, 5 / std::sqrt(2.0 * kPairs));
  EXPECT_NEAR(squares / (2 * kPairs), 1, 5 * std::sqrt(1.0 / kPairs));
}

TEST(PermutationTest, IsABijectionForEverySize) {
  for (uint64_t size : {1, 2, 3, 4, 5, 15, 16, 17, 100, 1023, 4096}) {
    Permutation permutation(size, 11);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < size; ++i) {
      uint64_t to = permutation(i);
      EXPECT_LT(to, size);
      seen.insert(to);
    }
    EXPECT_EQ(seen.size(), size) << "size " << size;
  }
}

TEST(PermutationTest, DiffersByKeyAndMovesThings) {
  Permutation a(1000, 1);
  Permutation b(1000, 2);
  int same = 0;
  int fixed = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    same += a(i) == b(i) ? 1 : 0;
    fixed += a(i) == i ? 1 : 0;
  }
  EXPECT_LT(same, 10); // 1 expected
  EXPECT_LT(fixed, 10);
}

/// Largest error of `got`, in units in the last place of `want`.
template <class Got, class Want>
double worst_ulps(double from, double to, Got got, Want want) {
  double worst = 0;
  constexpr int kPoints = 20'000;
  for (int i = 0; i <= kPoints; ++i) {
    double x = from + (to - from) * i / kPoints;
    long double exact = want(static_cast<long double>(x));
    auto near = static_cast<double>(exact);
    double ulp = std::abs(std::nextafter(near, 2 * near) - near);
    long double error = std::abs(got(x) - exact);
    worst = std::max(worst, ulp > 0 ? static_cast<double>(error / ulp) : 0);
  }
  return worst;
}

TEST(FunctionsTest, AreWithinTwoUnitsInTheLastPlace) {
  using Range = std::pair<double, double>;
  auto log = [](long double x) { return std::log(x); };
  auto ours = [](double x) { return logarithm(x); };
  for (auto [from, to] :
       {Range{0.5, 2}, {1e-310, 1e-309}, {1e-300, 1e-299}, {1, 1e300}}) {
    EXPECT_LT(worst_ulps(from, to, ours, log), 2) << from;
  }
  auto exp = [](long double x) { return std::exp(x); };
  for (auto [from, to] : {Range{-1, 1}, {-700, 709}}) {
    EXPECT_LT(
        worst_ulps(
            from, to, [](double x) { return exponential(x); }, exp),
        2)
        << from;
  }
  auto log1p = [](long double x) { return std::log1p(x); };
  for (auto [from, to] : {Range{0, 1}, {-0.5, 0}, {1e-20, 1e-17}}) {
    EXPECT_LT(
        worst_ulps(
            from, to, [](double x) { return logarithm_plus_one(x); }, log1p),
        4)
        << from;
  }
  EXPECT_EQ(logarithm(0), -INFINITY);
  EXPECT_TRUE(std::isnan(logarithm(-1)));
  EXPECT_EQ(logarithm(INFINITY), INFINITY);
  EXPECT_EQ(exponential(-800), 0);
  EXPECT_EQ(exponential(800), INFINITY);
  EXPECT_TRUE(std::isnan(exponential(NAN)));
  // Control: a relative error of 1e-15 is seen.
  auto off = [](double x) { return logarithm(x) * (1 + 1e-15); };
  EXPECT_GT(worst_ulps(0.5, 2, off, log), 2);
}

TEST(FunctionsTest, CosinesAndSinesOfLargeAnglesKeepTheirDigits) {
  using Range = std::pair<double, double>;
  for (auto [from, to] : {Range{-7, 7}, {0, 1e3}, {1e6 - 1e3, 1e6}}) {
    for (int i = 0; i <= 20'000; ++i) {
      double x = from + (to - from) * i / 20'000;
      auto [cosine, sine] = cosine_and_sine(x);
      auto wide = static_cast<long double>(x);
      ASSERT_NEAR(cosine, static_cast<double>(std::cos(wide)), 0x1p-52) << x;
      ASSERT_NEAR(sine, static_cast<double>(std::sin(wide)), 0x1p-52) << x;
    }
  }
  EXPECT_EQ(integer_power(0.5, 10), 0x1p-10);
  EXPECT_EQ(integer_power(3, 0), 1);
  EXPECT_NEAR(power(10'000, 0.25), 10, 1e-14);
}

} // namespace
} // namespace accrue
