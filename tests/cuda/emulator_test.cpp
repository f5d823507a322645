// SPDX-License-Identifier: Apache-2.0
#include "emulator.h"

#include <gtest/gtest.h>

#include <set>

#include "accrue/core/error.h"
#include "tensor/cuda/kernel_sources.h"

namespace accrue::tensor::cuda {
namespace {

using emulator::Emulator;
using emulator::kernel;
using emulator::Order;

/// Writes a thread's number, and reads that of its neighbour.
template <bool barrier>
void neighbours(int* numbers) {
  __shared__ int shared[64];
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  if constexpr (barrier) {
    __syncthreads();
  }
  numbers[threadIdx.x] = shared[(threadIdx.x + 1) % 64];
  __syncthreads();
  shared[threadIdx.x] = -1;
}

/// Writes to shared memory again without waiting for those who read.
void reused(double* values) {
  __shared__ double shared;
  for (int round = 1; round <= 2; ++round) {
    if (threadIdx.x == 0) {
      shared = round;
    }
    __syncthreads();
    values[threadIdx.x] += __shfl_xor_sync(0xffffffffU, shared, 1);
  }
}

/// Leaves out the last barrier in thread 5.
void one_leaves_out(int barriers) {
  for (int i = 0; i < barriers; ++i) {
    if (i + 1 < barriers || threadIdx.x != 5) {
      __syncthreads();
    }
  }
}

void one_leaves_out_an_exchange(int) {
  if (threadIdx.x != 5) {
    __shfl_xor_sync(0xffffffffU, 1.0F, 1);
  }
}

void exchange(double* values) {
  double sum = threadIdx.x;
  for (int distance = 16; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(0xffffffffU, sum, distance);
  }
  values[threadIdx.x] = sum;
}

void grid(int* blocks) {
  blocks[blockIdx.y * gridDim.x + blockIdx.x] +=
      static_cast<int>(blockIdx.x + 10 * blockIdx.y + 100 * blockDim.x);
}

const emulator::Table& controls() {
  static const emulator::Table table = {
      {"neighbours", kernel(neighbours<true>)},
      {"neighbours_without_barrier", kernel(neighbours<false>)},
      {"reused", kernel(reused)},
      {"one_leaves_out", kernel(one_leaves_out)},
      {"one_leaves_out_an_exchange", kernel(one_leaves_out_an_exchange)},
      {"exchange", kernel(exchange)},
      {"grid", kernel(grid)}};
  return table;
}

/// Runs a control and returns the message of its error.
template <class... Arguments>
std::string error_of(
    const char* name,
    const Grid& grid,
    Arguments... arguments) {
  try {
    launch(Emulator(controls()), name, grid, arguments...);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(EmulatorTest, BarriersOrderThreads) {
  for (Order order : {Order::kForward, Order::kBackward}) {
    std::vector<int> numbers(64);
    launch(
        Emulator(controls(), order),
        "neighbours",
        {.threads = 64},
        numbers.data());
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(numbers[static_cast<size_t>(i)], (i + 1) % 64);
    }
  }
}

TEST(EmulatorTest, ControlAMissingBarrierChangesResults) {
  std::vector<int> forward(64);
  std::vector<int> backward(64);
  launch(
      Emulator(controls(), Order::kForward),
      "neighbours_without_barrier",
      {.threads = 64},
      forward.data());
  launch(
      Emulator(controls(), Order::kBackward),
      "neighbours_without_barrier",
      {.threads = 64},
      backward.data());
  EXPECT_NE(forward, backward);
}

TEST(EmulatorTest, ControlMemoryThatIsReusedTooSoonChangesResults) {
  std::vector<double> values(64);
  launch(Emulator(controls()), "reused", {.threads = 64}, values.data());
  EXPECT_EQ(values[0], 1 + 2);
  EXPECT_NE(values[63], 1 + 2);
}

TEST(EmulatorTest, WarpsExchangeValues) {
  std::vector<double> values(96);
  launch(Emulator(controls()), "exchange", {.threads = 96}, values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    auto warp = static_cast<double>(i / 32);
    EXPECT_EQ(values[i], 32 * 32 * warp + 31 * 16);
  }
}

TEST(EmulatorTest, EveryBlockOfAGridRuns) {
  std::vector<int> blocks(6);
  launch(
      Emulator(controls()),
      "grid",
      {.x = 2, .y = 3, .threads = 1},
      blocks.data());
  EXPECT_EQ(blocks, (std::vector<int>{100, 101, 110, 111, 120, 121}));
}

TEST(EmulatorTest, ControlALeftOutBarrierIsReported) {
  for (int barriers : {1, 3}) {
    EXPECT_EQ(
        error_of("one_leaves_out", {.threads = 64}, barriers),
        "[emulator] one_leaves_out: not all threads come to a barrier: of 64 "
        "threads of a block, 63 wait for the block, 0 for their warp, 1 have "
        "ended");
  }
  EXPECT_EQ(error_of("one_leaves_out", {.threads = 4}, 2), "no error");
  EXPECT_NE(
      error_of("one_leaves_out_an_exchange", {.threads = 32}, 0), "no error");
}

TEST(EmulatorTest, ControlAnExchangeInPartOfAWarpIsReported) {
  std::vector<double> values(40);
  EXPECT_NE(error_of("exchange", {.threads = 40}, values.data()), "no error");
}

TEST(EmulatorTest, ControlWrongArgumentsAreRefused) {
  EXPECT_EQ(error_of("grids", {}, 0), "[emulator] there is no kernel grids");
  EXPECT_EQ(
      error_of("one_leaves_out", {}, int64_t{1}),
      "[emulator] one_leaves_out: parameter 1 has 4 bytes, got an argument of "
      "8");
  EXPECT_EQ(
      error_of("one_leaves_out", {}, 1, 1),
      "[emulator] one_leaves_out has 1 parameters, got 2 arguments");
  EXPECT_EQ(
      error_of("one_leaves_out", {.threads = 2048}, 1),
      "[emulator] one_leaves_out: no device has a grid of 1 by 1 blocks of "
      "2048 threads");
  // A kernel of the program: a stride of 4 bytes.
  std::vector<float> x(8);
  EXPECT_THROW(
      launch(
          Emulator(),
          "activate_f32",
          {.threads = 32},
          x.data(),
          1,
          x.data(),
          int64_t{1},
          int64_t{1},
          1,
          0,
          0),
      Error);
}

TEST(KernelSources, HaveTheKernelsOfTheTable) {
  auto sources = kernel_sources();
  ASSERT_FALSE(sources.empty());
  EXPECT_STREQ(sources[0].name, "kernels.cu");
  std::string text;
  for (const KernelSource& source : sources) {
    text += source.text;
  }
  std::set<std::string> declared = {"square_parts_f64"};
  auto find = [&](const std::string& before,
                  char end,
                  std::vector<std::string> suffixes) {
    for (size_t at = 0; (at = text.find(before, at)) != std::string::npos;) {
      at += before.size();
      for (const std::string& suffix : suffixes) {
        declared.insert(text.substr(at, text.find(end, at) - at) + suffix);
      }
    }
  };
  find("\nKERNEL(", ')', {"_f32", "_bf16"});
  find("\nextern \"C\" __global__ void ", '(', {""});
  std::set<std::string> in_table;
  for (const auto& [name, kernel] : emulator::all_kernels()) {
    in_table.insert(name);
  }
  EXPECT_EQ(declared, in_table);
}

} // namespace
} // namespace accrue::tensor::cuda
