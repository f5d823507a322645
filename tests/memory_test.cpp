// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "device/memory.h"
#include "device/process.h"
#include "drive/backoff.h"
#include "drive/fit_table.h"

namespace accrue {
namespace {

using device::available_bytes;
using device::peak_resident_bytes;
using device::resident_bytes;
using drive::Backoff;
using drive::FitTable;
using drive::MicroBatching;

device::DeviceMemory& memory = device::host_memory();

TEST(MeterTest, CountsLiveAndPeakBytesOfTensors) {
  const device::AllocatorScope allocator;
  uint64_t before = memory.allocated();
  {
    at::Tensor kept = at::empty({1000}, at::kFloat);
    memory.reset_peak();
    { at::Tensor passing = at::empty({5000}, at::kDouble); }
    EXPECT_EQ(memory.allocated(), before + 4000);
    EXPECT_EQ(memory.max_allocated(), before + 44000);
  }
  EXPECT_EQ(memory.allocated(), before);
}

TEST(AllocatorTest, FreedLargeBlockIsReused) {
  const device::AllocatorScope allocator;
  const void* first = at::empty({300'000}, at::kFloat).const_data_ptr();
  // Not the same size, but the same class.
  EXPECT_EQ(at::empty({299'990}, at::kFloat).const_data_ptr(), first);
}

TEST(AllocatorTest, NeverHoldsMoreThanWasInUseAtOnce) {
  const device::AllocatorScope allocator;
  memory.empty_cache(); // what other tests of this process had at once is past
  { at::Tensor largest = at::empty({16 << 20}, at::kByte); }
  uint64_t most = memory.reserved();
  for (int64_t size = 100'000; size < (8 << 20); size += 123'457) {
    at::Tensor a = at::empty({size}, at::kByte);
    at::Tensor b = at::empty({size / 2}, at::kByte);
    EXPECT_LE(memory.reserved(), most);
  }
}

TEST(AllocatorTest, BlocksAreAlignedAndDoNotOverlap) {
  const device::AllocatorScope allocator;
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
  EXPECT_GT(available_bytes(), resident_bytes());
}

TEST(AllocatorTest, BeyondTheLimitIsOutOfMemory) {
  const device::AllocatorScope allocator;
  memory.empty_cache();
  memory.set_limit(memory.reserved() + (1 << 20));
  at::Tensor fits = at::empty({512 << 10}, at::kByte);
  uint64_t before = memory.allocated();
  EXPECT_THROW(at::empty({1 << 20}, at::kByte), c10::OutOfMemoryError);
  EXPECT_EQ(memory.allocated(), before);
  fits.reset();
  EXPECT_NO_THROW(at::empty({900 << 10}, at::kByte));
  memory.set_limit(std::nullopt);
  EXPECT_NO_THROW(at::empty({4 << 20}, at::kByte));
}

TEST(AllocatorTest, WhatTheSystemRefusesIsNotHeld) {
  const device::AllocatorScope allocator;
  { at::Tensor freed = at::empty({8 << 20}, at::kByte); }
  uint64_t before = memory.allocated();
  EXPECT_THROW(at::empty({int64_t{1} << 50}, at::kByte), c10::OutOfMemoryError);
  EXPECT_EQ(memory.allocated(), before);
  { at::Tensor freed = at::empty({8 << 20}, at::kByte); }
  { at::Tensor freed = at::empty({12 << 20}, at::kByte); }
  EXPECT_LE(memory.reserved(), before + (13 << 20)); // one block, not both
}

TEST(AllocatorTest, GivesBackWhatIsKept) {
  const device::AllocatorScope allocator;
  { at::Tensor freed = at::empty({8 << 20}, at::kByte); }
  EXPECT_GE(memory.reserved(), 8U << 20);
  memory.empty_cache();
  EXPECT_LE(memory.reserved(), memory.allocated() + (1 << 20));
}

FitTable table() {
  FitTable table{.program_bytes = 1000, .commit_seconds = 0.5};
  table.probes = {
      {{0, false}, 100, 0},
      {{1, false}, 150, 1.0},
      {{2, false}, 190, 1.8},
      {{4, false}, 270, 3.6},
      {{0, true}, 100, 0},
      {{1, true}, 110, 1.3},
      {{4, true}, 140, 4.8}};
  return table;
}

TEST(PlannerTest, PeaksAreMeasuredOrOnTheLine) {
  EXPECT_EQ(table().peak({2, false}), 1190U);
  EXPECT_EQ(table().peak({3, false}), 1230U); // between
  EXPECT_EQ(table().peak({10, false}), 1510U); // beyond
  EXPECT_EQ(table().peak({14, true}), 1240U);
  EXPECT_EQ(table().bytes_per_sample(false), 40U);
}

TEST(PlannerTest, LargestThatFits) {
  EXPECT_EQ(table().largest(false, 1149), 0);
  EXPECT_EQ(table().largest(false, 1150), 1);
  EXPECT_EQ(table().largest(false, 1309), 4);
  EXPECT_EQ(table().largest(false, 1310), 5);
  EXPECT_EQ(table().largest(true, 1149), 4);
  EXPECT_EQ(table().next({2, false}, 1500, 100), 4);
  EXPECT_EQ(table().next({2, false}, 1230, 100), 3);
  EXPECT_EQ(table().next({4, false}, 1290, 100), 4);
  EXPECT_EQ(table().next({4, false}, 9000, 6), 6);
}

TEST(PlannerTest, LargestOfSamplesAsLargeAsReal) {
  FitTable table{.program_bytes = 200 << 20};
  table.probes = {
      {{0, false}, uint64_t{1} << 30, 0},
      {{1, false}, uint64_t{2} << 30, 1},
      {{2, false}, uint64_t{3} << 30, 2}};
  EXPECT_EQ(table.largest(false, uint64_t{8} << 30), 6);
  EXPECT_EQ(table.next({4, false}, uint64_t{8} << 30, 64), 6);
}

TEST(PlannerTest, TimeOfAWindow) {
  EXPECT_DOUBLE_EQ(table().step_seconds({4, false}, 8), 0.5 + 2 * 3.6);
  EXPECT_DOUBLE_EQ(table().step_seconds({4, false}, 9), 0.5 + 2 * 3.6 + 1.0);
  // 8 was not timed: per sample as fast as 4.
  EXPECT_DOUBLE_EQ(table().step_seconds({8, false}, 8), 0.5 + 7.2);
}

TEST(PlannerTest, FastestThatFits) {
  // 2 and 4 are equally fast: the smaller one.
  EXPECT_EQ(table().fastest(9000, 8), (MicroBatching{2, false}));
  // Checkpointing where it is the only way, or the faster one.
  EXPECT_EQ(table().fastest(1149, 8), (MicroBatching{4, true}));
  EXPECT_EQ(table().fastest(1139, 8), (MicroBatching{1, true}));
  EXPECT_EQ(table().fastest(1160, 8), (MicroBatching{1, false}));
  EXPECT_EQ(table().fastest(1109, 8), std::nullopt);
}

TEST(BackoffTest, ComesBackAfterAWhileAndLaterEachTime) {
  Backoff<int> setting(8);
  auto windows_until = [&](int want) {
    int windows = 0;
    while (setting.current() != want && windows < 1000) {
      setting.on_success();
      ++windows;
    }
    return windows;
  };
  setting.back_off(4);
  EXPECT_EQ(windows_until(8), 8);
  setting.back_off(4);
  setting.back_off(2);
  EXPECT_EQ(windows_until(4), 16);
  EXPECT_EQ(windows_until(8), 16);
  setting.on_success();
  EXPECT_EQ(setting.current(), 8);
}

} // namespace
} // namespace accrue
