// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "accrue/core/error.h"
#include "accrue/drive/accumulate.h"
#include "device/memory.h"
#include "device/process.h"
#include "failing_allocator.h"
#include "support.h"
#include "tensor/environment.h"

namespace accrue {
namespace {

using namespace accrue::literals;
using testing::expect_contains;
using testing::expect_near;
using testing::FailingAllocator;
using testing::message_of;

constexpr int64_t kRows = 12;

/// In fp64, so that only mistakes show.
torch::nn::Sequential make_net() {
  torch::manual_seed(3);
  torch::nn::Sequential net(
      torch::nn::Linear(40, 64), torch::nn::Tanh(), torch::nn::Linear(64, 1));
  net->to(torch::kDouble);
  return net;
}

torch::data::Example<> make_batch(int64_t step) {
  torch::manual_seed(10 + static_cast<uint64_t>(step));
  return {
      torch::randn({kRows, 40}, torch::kDouble),
      torch::randn({kRows, 1}, torch::kDouble)};
}

auto squared_error(torch::nn::Sequential& net) {
  return [&net](const torch::data::Example<>& micro) {
    return LossSum{
        .sum = (net->forward(micro.data) - micro.target).pow(2).sum(),
        .weight = micro.data.size(0)};
  };
}

std::vector<at::Tensor> unsplit(int64_t steps) {
  torch::nn::Sequential net = make_net();
  torch::optim::AdamW optimizer(net->parameters(), 0.01);
  for (int64_t step = 0; step < steps; ++step) {
    auto batch = make_batch(step);
    optimizer.zero_grad();
    (net->forward(batch.data) - batch.target).pow(2).mean().backward();
    optimizer.step();
  }
  return net->parameters();
}

void expect_equal(
    const std::vector<at::Tensor>& got,
    const std::vector<at::Tensor>& want) {
  for (size_t i = 0; i < want.size(); ++i) {
    expect_near(got[i], want[i], 1e-10, std::to_string(i));
  }
}

TEST(AccumulateTest, EqualsTheUnsplitBatchWhileItFindsItsSize) {
  torch::nn::Sequential net = make_net();
  torch::optim::AdamW optimizer(net->parameters(), 0.01);
  Accumulate step(net, optimizer, {.global_batch = kRows, .memory = 8_GiB});
  for (int64_t i = 0; i < 6; ++i) {
    StepReport report = step(make_batch(i), squared_error(net));
    EXPECT_EQ(report.weight, kRows);
  }
  EXPECT_EQ(step.rollbacks(), 0);
  expect_equal(net->parameters(), unsplit(6));
}

TEST(AccumulateTest, OutOfMemoryAtEveryAllocationOfAWindow) {
  if (std::string_view(tensor::backend_name()) == "portable") {
    GTEST_SKIP() << "the optimizer's step of this backend takes memory";
  }
  std::vector<at::Tensor> want = unsplit(4);
  int64_t rolled_back = 0;
  for (int64_t failure = 0;; ++failure) {
    FailingAllocator allocator;
    torch::nn::Sequential net = make_net();
    AdamW optimizer(net->parameters(), {.lr = 0.01, .decay_vectors = true});
    Accumulate step(net, optimizer, {.global_batch = kRows, .micro_batch = 5});
    auto loss = squared_error(net);
    for (int64_t i = 0; i < 3; ++i) {
      step(make_batch(i), loss);
    }
    auto batch = make_batch(3);
    bool failed = false;
    // From the first loss on: outside of it nothing is retried.
    step(batch, [&](const torch::data::Example<>& micro) {
      if (!std::exchange(failed, true)) {
        allocator.reset_count();
        allocator.fail(failure);
      }
      return loss(micro);
    });
    allocator.fail(-1);
    expect_equal(net->parameters(), want);
    rolled_back += step.rollbacks();
    if (step.rollbacks() == 0) {
      break; // that was beyond the last allocation of the window
    }
    EXPECT_LE(step.micro_batch(), 2);
  }
  EXPECT_GT(rolled_back, 10);
}

TEST(AccumulateTest, RollbackRestoresRandomStateAndBuffers) {
  torch::nn::Sequential net(torch::nn::BatchNorm1d(40));
  torch::optim::SGD optimizer(net->parameters(), 0.01);
  Accumulate step(net, optimizer, {.global_batch = kRows, .micro_batch = 4});
  at::Tensor batch = torch::randn({kRows, 40});
  std::vector<double> drawn;
  int64_t calls = 0;
  auto run = [&](bool fails) {
    calls = 0;
    step(batch, [&](const at::Tensor& micro) {
      drawn.push_back(torch::rand({1}).item<double>());
      if (fails && ++calls == 2) {
        TORCH_CHECK_WITH(OutOfMemoryError, false, "made to fail");
      }
      at::Tensor y = net->forward(torch::cat({micro, micro}));
      return LossSum{.sum = y.sum(), .weight = micro.size(0)};
    });
  };
  run(false);
  auto batches = [&] {
    return net->named_buffers()["0.num_batches_tracked"].item<int64_t>();
  };
  int64_t before = batches();
  drawn.clear();
  run(true);
  EXPECT_EQ(step.rollbacks(), 1);
  ASSERT_GT(drawn.size(), 4U);
  EXPECT_EQ(drawn[0], drawn[2]); // the window's first draw, once more
  EXPECT_EQ(drawn[1], drawn[3]);
  EXPECT_EQ(batches() - before, static_cast<int64_t>(drawn.size()) - 2);
}

TEST(AccumulateTest, ASampleThatDoesNotFitIsAnError) {
  torch::nn::Sequential net = make_net();
  torch::optim::AdamW optimizer(net->parameters(), 0.01);
  const device::AllocatorScope allocator;
  uint64_t resident = device::resident_bytes();
  Accumulate step(
      net,
      optimizer,
      {.global_batch = kRows, .memory = Bytes{resident + (40 << 20)}});
  auto loss = squared_error(net);
  auto wasteful = [&](const torch::data::Example<>& micro) {
    at::Tensor large = torch::ones({64 << 20}, torch::kByte);
    return loss(micro);
  };
  expect_contains(
      message_of<MemoryError>([&] { step(make_batch(0), wasteful); }),
      "sample 0 of the batch does not fit");
  step(make_batch(0), loss); // and goes on
  expect_equal(net->parameters(), unsplit(1));
}

TEST(AccumulateTest, BadOptionsAndBatches) {
  torch::nn::Sequential net = make_net();
  torch::optim::AdamW optimizer(net->parameters(), 0.01);
  expect_contains(
      message_of<ConfigError>([&] { Accumulate(net, optimizer, {}); }),
      "must be > 0, got 0");
  expect_contains(
      message_of<MemoryError>([&] {
        Accumulate(net, optimizer, {.global_batch = 4, .memory = 1_MiB});
      }),
      "are missing");
  Accumulate step(net, optimizer, {.global_batch = 4});
  expect_contains(
      message_of<ConfigError>([&] { step(make_batch(0), squared_error(net)); }),
      "12 samples for a global batch of 4");
}

} // namespace
} // namespace accrue
