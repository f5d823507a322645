#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <vector>

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

TEST(AllocatorTest, FreedLargeBlockIsReused) {
  install_allocator();
  const void* first = at::empty({300'000}, at::kFloat).const_data_ptr();
  // Not the same size, but the same class.
  EXPECT_EQ(at::empty({299'990}, at::kFloat).const_data_ptr(), first);
}

TEST(AllocatorTest, NeverHoldsMoreThanWasInUseAtOnce) {
  install_allocator();
  { at::Tensor largest = at::empty({16 << 20}, at::kByte); }
  uint64_t most = held_bytes();
  for (int64_t size = 100'000; size < (8 << 20); size += 123'457) {
    at::Tensor a = at::empty({size}, at::kByte);
    at::Tensor b = at::empty({size / 2}, at::kByte);
    EXPECT_LE(held_bytes(), most);
  }
}

TEST(AllocatorTest, BlocksAreAlignedAndDoNotOverlap) {
  install_allocator();
  std::vector<at::Tensor> tensors;
  for (int64_t size : {1, 64, 65'000, 65'472, 65'473, 1'000'000, 3'333'333}) {
    tensors.push_back(at::empty({size}, at::kByte).fill_(tensors.size()));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    auto address = reinterpret_cast<uintptr_t>(tensors[i].const_data_ptr());
    EXPECT_EQ(address % 64, 0U);
    EXPECT_EQ(tensors[i].min().item<int64_t>(), static_cast<int64_t>(i));
    EXPECT_EQ(tensors[i].max().item<int64_t>(), static_cast<int64_t>(i));
  }
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
