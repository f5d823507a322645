// SPDX-License-Identifier: Apache-2.0
#include <ATen/DeviceAccelerator.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "accrue/accrue.h"
#include "accrue/device/device.h"
#include "device/memory.h"
#include "drive/window_runner.h"
#include "objectives/batch.h"
#include "ragged_batch.h"
#include "support.h"
#include "test_device.h"
#include "window/next_micro_batch.h"

// Work on devices: what can be shown without one. Tensors of the device "meta"
// have no values, so that asking for one, for which the host would wait,
// throws.

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;
using testing::random_batch;

const std::filesystem::path kOracle = ACCRUE_ORACLE_DIR;

/// Operators that LibTorch lacks for tensors without values.
TORCH_LIBRARY_IMPL(aten, Meta, m) {
  m.impl(
      "index_select",
      [](const at::Tensor& self, int64_t dim, const at::Tensor& index) {
        std::vector<int64_t> sizes = self.sizes().vec();
        sizes[static_cast<size_t>(dim)] = index.numel();
        return torch::empty(sizes, self.options());
      });
  m.impl(
      "where.self",
      [](const at::Tensor& mask, const at::Tensor& a, const at::Tensor& b) {
        return mask.to(a.scalar_type()) + a + b; // broadcast alike
      });
  m.impl(
      "logical_not.out",
      [](const at::Tensor&, at::Tensor& out) -> at::Tensor& { return out; });
  m.impl(
      "masked_fill_.Scalar",
      [](at::Tensor& self,
         const at::Tensor&,
         const at::Scalar&) -> at::Tensor& { return self; });
  m.impl(
      "_index_put_impl_",
      [](at::Tensor& self,
         const c10::List<std::optional<at::Tensor>>&,
         const at::Tensor&,
         bool,
         bool) -> at::Tensor& { return self; });
  m.impl("__rshift__.Scalar", [](const at::Tensor& self, const at::Scalar&) {
    return torch::empty_like(self);
  });
  m.impl(
      "logsumexp", [](const at::Tensor& self, at::IntArrayRef dim, bool keep) {
        return self.sum(dim, keep);
      });
}

TEST(DeviceTest, NamesOfDevices) {
  EXPECT_EQ(parse_device("cpu"), at::Device("cpu"));
  EXPECT_EQ(parse_device("cuda"), at::Device("cuda:0"));
  EXPECT_EQ(parse_device("cuda:3"), at::Device("cuda:3"));
  for (const char* wrong :
       {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x"}) {
    EXPECT_FALSE(parse_device(wrong)) << wrong;
  }
}

TEST(DeviceTest, ControlAValueOfATensorWithoutValuesThrows) {
  at::Tensor x = torch::ones({1}, torch::kMeta);
  EXPECT_ANY_THROW(x.item<float>());
}

class MetaTest : public ::testing::TestWithParam<const char*> {
 protected:
  ModelConfig config_ =
      read_model_config(kOracle / (std::string(GetParam()) + ".json"));
};

INSTANTIATE_TEST_SUITE_P(
    Families,
    MetaTest,
    testing::families(),
    [](const auto& family) { return std::string(family.param); });

TEST_P(MetaTest, AMicroBatchOfAModelReadsNoValueOfTheDevice) {
  torch::manual_seed(5);
  const auto batch = random_batch(config_, 6);
  for (Dtype dtype : {Dtype::kFp64, Dtype::kFp32, Dtype::kBf16}) {
    for (bool adapts : {false, true}) {
      ModelOptions options{
          .dtype = dtype, .uninitialized = true, .device = at::kMeta};
      if (adapts) {
        options.lora = LoraOptions{.rank = 2, .tokens = {3, 5}};
      }
      Transformer model(config_, options);
      Window window(model.parameters());
      for (Range part : split_range(batch.size(), 2)) {
        window.add(model.loss(
            batch.part(part),
            {.dropout = {.probability = 0.1, .seed = 1},
             .recompute = part.begin > 0}));
      }
      for (const at::Tensor& parameter : model.parameters()) {
        EXPECT_TRUE(parameter.grad().defined() && parameter.grad().is_meta());
      }
    }
  }
}

TEST(DeviceTest, AMicroBatchForAutogradReadsNoValueOfTheDevice) {
  at::Tensor weight = torch::ones({4, 8}, torch::kMeta).requires_grad_();
  Window window({weight});
  for (int i = 0; i < 3; ++i) {
    at::Tensor x = torch::ones({5, 4}, torch::kMeta);
    window.add(
        LossSum{.sum = torch::matmul(x, weight).square().sum(), .weight = 5});
  }
  EXPECT_TRUE(weight.grad().is_meta());
}

TEST(DeviceTest, IndicesAreCheckedBeforeTheyAreMoved) {
  const ModelConfig config = read_model_config(kOracle / "gpt2.json");
  Transformer model(config, {.uninitialized = true, .device = at::kMeta});
  const auto good = random_batch(config, 2);
  auto message = [&](auto&& spoil) {
    TokenBatch batch = good.part({0, 2});
    for (at::Tensor* tensor :
         {&batch.tokens, &batch.targets, &batch.positions, &batch.weights}) {
      *tensor = tensor->clone();
    }
    batch.weights[1] = 1;
    spoil(batch);
    return message_of<DataError>([&] { (void)model.loss_sum(batch); });
  };
  expect_contains(
      message([&](TokenBatch& b) { b.tokens[0] = config.vocab_size; }),
      "is not in the vocabulary of");
  expect_contains(
      message([&](TokenBatch& b) { b.targets[1] = -1; }),
      "target -1 is not in the vocabulary of");
  expect_contains(
      message([&](TokenBatch& b) { b.positions[0] = config.max_positions; }),
      "is not among the");
  TokenBatch unused = good.part({0, 2});
  unused.targets = unused.targets.clone();
  unused.weights = unused.weights.clone();
  unused.targets[0] = -100;
  unused.weights[0] = 0;
  EXPECT_NO_THROW((void)model.loss_sum(unused));
}

TEST(DeviceTest, ABatchKnowsItsGrains) {
  std::vector<Sample> samples;
  for (uint64_t i = 0; i < 5; ++i) { // of 3 tokens
    samples.push_back({i, {{i, {1, 2, 3, 4}, {}}}});
  }
  using Ends = std::vector<int64_t>;
  EXPECT_EQ(make_batch(samples).grains, Ends());
  EXPECT_EQ(make_batch(samples, 1).grains, (Ends{1, 2, 3, 4, 5}));
  EXPECT_EQ(make_batch(samples, 6).grains, (Ends{2, 4, 5}));
  EXPECT_EQ(make_batch(samples, 8).grains, (Ends{2, 4, 5}));
  EXPECT_EQ(make_batch(samples, 99).grains, (Ends{5}));
  // A pair is one sample, of two sequences.
  for (Sample& sample : samples) {
    sample.sequences.push_back({sample.id, {1, 2}, {}});
  }
  EXPECT_EQ(make_batch(samples, 8).grains, (Ends{4, 8, 10}));
}

/// Work on the GPU that ACCRUE_TEST_DEVICE names.
class GpuDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device_.is_cpu()) {
      GTEST_SKIP() << "set ACCRUE_TEST_DEVICE=cuda on a machine with a GPU";
    }
  }

  const at::Device device_ = testing::test_device();
};

TEST_F(GpuDeviceTest, TheHostDoesNotWaitForAMicroBatch) {
  const ModelConfig config = read_model_config(kOracle / "llama.json");
  const auto batch = random_batch(config, 6);
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    Transformer model(config, {.dtype = dtype, .device = device_});
    at::Tensor weight = torch::randn({64, 64}, device_).requires_grad_();
    Window built_in(model.parameters());
    Window own({weight});
    auto add = [&] {
      for (Range part : split_range(batch.size(), 2)) {
        built_in.add(model.loss(batch.part(part)));
        own.add(LossSum{.sum = weight.square().sum(), .weight = 1});
      }
    };
    add(); // makes kernels and blocks of memory
    built_in.begin();
    own.begin();
    at::Tensor busy = torch::randn({8192, 8192}, device_);
    for (int i = 0; i < 100; ++i) { // seconds of work
      busy = torch::matmul(busy, busy).tanh_();
    }
    add();
    EXPECT_FALSE(at::accelerator::getCurrentStream(device_.index()).query());
    EXPECT_TRUE(std::isfinite(built_in.normalize().loss)); // waits
    EXPECT_TRUE(std::isfinite(own.normalize().loss));
  }
}

TEST_F(GpuDeviceTest, AccumulateStaysWithinABudgetAndFollowsTheCpu) {
  auto train = [](const at::Device& device, std::optional<Bytes> memory) {
    torch::manual_seed(3);
    auto net = std::make_shared<torch::nn::LinearImpl>(512, 4096);
    net->to(device);
    torch::optim::SGD optimizer(net->parameters(), 0.01);
    Accumulate step(net, optimizer, {.global_batch = 4096, .memory = memory});
    double loss = 0;
    for (int i = 0; i < 3; ++i) {
      torch::data::Example<> batch{
          torch::randn({4096, 512}).to(device),
          torch::zeros({4096}).to(device)};
      loss = step(batch, [&](const torch::data::Example<>& micro) {
               return LossSum{
                   .sum = net->forward(micro.data).square().sum(),
                   .weight = micro.target.numel()};
             }).loss;
    }
    return loss;
  };
  device::DeviceMemory& memory = device::memory_of(device_);
  const Bytes budget{
      memory.program() + memory.reserved() + (uint64_t{150} << 20)};
  const double loss = train(device_, budget);
  EXPECT_LE(memory.program() + memory.reserved(), budget.value);
  EXPECT_NEAR(loss / train(at::kCPU, std::nullopt), 1, 1e-4);
}

/// Samples of given lengths, whose losses are their numbers.
class Counted final : public drive::WindowWork {
 public:
  Counted(std::vector<int64_t> lengths, int64_t grain_tokens)
      : lengths_(std::move(lengths)), grain_tokens_(grain_tokens) {}

  int64_t num_samples() const override {
    return static_cast<int64_t>(lengths_.size());
  }
  int64_t num_tokens(int64_t sample) const override {
    return lengths_[static_cast<size_t>(sample)];
  }
  int64_t grain_tokens() const override {
    return grain_tokens_;
  }
  std::optional<drive::Totals> add(Window& window, Range samples, bool)
      override {
    if (samples.size() > fits) {
      TORCH_CHECK_WITH(OutOfMemoryError, false, "no memory");
    }
    bool good = true;
    for (int64_t i = samples.begin; i < samples.end; ++i) {
      good = good && !bad.contains(i);
    }
    const double value = good ? 1 : NAN;
    return window.add(LossSum{.sum = weight_.sum() * value, .weight = 1})
        ? std::optional(drive::Totals())
        : std::nullopt;
  }
  std::string name(int64_t sample) const override {
    return "sample " + std::to_string(sample);
  }
  std::string memory_advice(bool) const override {
    return "Advice.";
  }

  at::Tensor weight() const {
    return weight_;
  }

  int64_t fits = 1000;
  std::set<int64_t> bad;

 private:
  std::vector<int64_t> lengths_;
  int64_t grain_tokens_;
  at::Tensor weight_ = torch::ones({1}, torch::requires_grad());
};

std::vector<std::pair<int64_t, int64_t>> micro_batches(
    Counted& work,
    const drive::MicroBatching& batching) {
  Window window({work.weight()}, {.on_nonfinite = OnNonFinite::kSkip});
  drive::WindowRunner runner(window, batching);
  std::vector<std::pair<int64_t, int64_t>> list;
  for (Range part : runner.run(work).added) {
    list.emplace_back(part.begin, part.end);
  }
  return list;
}

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

TEST(GrainTest, MicroBatchesHoldWholeGrains) {
  Counted work({3, 3, 3, 5, 9, 1, 1}, 6); // grains: 2, 1, 1, 1, 2 samples
  EXPECT_EQ(
      micro_batches(work, {.max_samples = 1}),
      (Ranges{{0, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 7}}));
  EXPECT_EQ(
      micro_batches(work, {.max_samples = 3}),
      (Ranges{{0, 3}, {3, 5}, {5, 7}}));
  EXPECT_EQ(
      micro_batches(work, {.max_tokens = 10}),
      (Ranges{{0, 3}, {3, 4}, {4, 5}, {5, 7}}));
  EXPECT_EQ(micro_batches(work, {}), (Ranges{{0, 7}}));
  Counted alone({3, 3, 3}, 0);
  EXPECT_EQ(
      micro_batches(alone, {.max_samples = 1}),
      (Ranges{{0, 1}, {1, 2}, {2, 3}}));
}

TEST(GrainTest, OutOfMemoryKeepsGrainsWhole) {
  Counted work({2, 2, 2, 2, 2, 2}, 4);
  work.fits = 2;
  EXPECT_EQ(micro_batches(work, {}), (Ranges{{0, 2}, {2, 4}, {4, 6}}));
  work.fits = 1;
  const std::string message =
      message_of<MemoryError>([&] { micro_batches(work, {}); });
  expect_contains(
      message,
      "sample 0 does not fit, with the 1 samples after it that share its "
      "grain");
}

TEST(GrainTest, WhatIsNotFiniteIsLookedForInGrainsFirst) {
  for (int64_t size : {1, 2, 4, 6}) {
    Counted work({2, 2, 2, 2, 2, 2}, 4);
    work.bad = {3};
    Window window({work.weight()}, {.on_nonfinite = OnNonFinite::kSkip});
    drive::WindowRunner runner(window, {.max_samples = size});
    const drive::WindowResult result = runner.run(work);
    EXPECT_EQ(result.skipped, 1);
    // Two good grains whole, the good sample of the third alone.
    EXPECT_EQ(result.report.weight, 3) << size;
  }
}

} // namespace
} // namespace accrue
