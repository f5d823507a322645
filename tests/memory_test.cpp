#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "accrue/core/error.h"
#include "memory/meter.h"
#include "memory/planner.h"
#include "support.h"

namespace accrue::memory {
namespace {

using accrue::testing::expect_contains;
using accrue::testing::message_of;

TEST(MeterTest, CountsLiveAndPeakBytesOfTensors) {
  install_allocator();
  uint64_t before = live_bytes();
  {
    at::Tensor kept = at::empty({1000}, at::kFloat);
    reset_peak();
    { at::Tensor passing = at::empty({5000}, at::kDouble); }
    EXPECT_EQ(live_bytes(), before + 4000);
    EXPECT_EQ(peak_bytes(), before + 44000);
  }
  EXPECT_EQ(live_bytes(), before);
}

TEST(MeterTest, KernelFiguresArePlausible) {
  EXPECT_GT(resident_bytes(), 1U << 20);
  EXPECT_GE(peak_resident_bytes(), resident_bytes());
  EXPECT_GT(machine_bytes(), resident_bytes());
}

TEST(PlannerTest, LineThroughTwoProbes) {
  FitLine line = fit({1, 130, 0}, {4, 220, 0});
  EXPECT_EQ(line.fixed_bytes, 100U);
  EXPECT_EQ(line.bytes_per_sample, 30U);
  EXPECT_EQ(line.peak(10), 400U);
}

TEST(PlannerTest, LargestThatFits) {
  FitLine line{.fixed_bytes = 100, .bytes_per_sample = 30};
  EXPECT_EQ(largest_that_fits(line, 130, 50), 1);
  EXPECT_EQ(largest_that_fits(line, 219, 50), 3);
  EXPECT_EQ(largest_that_fits(line, 220, 50), 4);
  EXPECT_EQ(largest_that_fits(line, 1 << 20, 50), 50);
  expect_contains(
      message_of<MemoryError>([&] { largest_that_fits(line, 129, 50); }),
      "1 B are missing");
}

} // namespace
} // namespace accrue::memory
