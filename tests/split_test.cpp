// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <optional>

#include "accrue/core/error.h"
#include "accrue/models/transformer.h"
#include "ragged_batch.h"
#include "run/verify.h"
#include "support.h"
#include "test_device.h"

// The law for the built-in models: what the split does not decide.

namespace accrue {
namespace {

using testing::expect_near;
using testing::gradients;
using testing::RaggedBatch;
using testing::random_batch;

const std::filesystem::path kOracle = ACCRUE_ORACLE_DIR;

class SplitTest : public ::testing::TestWithParam<const char*> {
 protected:
  ModelConfig config_ =
      read_model_config(kOracle / (std::string(GetParam()) + ".json"));
};

INSTANTIATE_TEST_SUITE_P(
    Families,
    SplitTest,
    testing::families(),
    [](const auto& family) { return std::string(family.param); });

TEST_P(SplitTest, EverySplitOfRaggedSamplesGivesTheSameGradients) {
  torch::manual_seed(3);
  Transformer model(
      config_, testing::on_test_device({.dtype = Dtype::kFp64, .seed = 1}));
  RaggedBatch batch = random_batch(config_, 12);
  auto whole = gradients(model, batch, 12);
  for (int64_t micro_batch : {1, 2, 3, 5, 12}) {
    auto split = gradients(model, batch, micro_batch);
    for (size_t i = 0; i < whole.size(); ++i) {
      const std::string& name = model.named_parameters()[i].first;
      expect_near(split[i], whole[i], 1e-10, name);
    }
  }
}

/// The gradients of the usual fault: a mean per micro-batch, and their mean.
std::vector<at::Tensor> mean_of_means(
    const Transformer& model,
    const RaggedBatch& batch,
    int64_t micro_batch) {
  Window window(model.parameters());
  auto parts = split_range(batch.size(), micro_batch);
  for (Range part : parts) {
    TokenBatch tokens = batch.part(part);
    tokens.weights = tokens.weights / tokens.target_weight;
    ModelLoss mean = model.loss(tokens);
    mean.weight = 1;
    window.add(mean);
  }
  window.normalize();
  return window.gradients();
}

TEST_P(SplitTest, ControlsFailTheGateInEveryDtype) {
  torch::manual_seed(3);
  RaggedBatch batch = random_batch(config_, 12);
  for (Dtype dtype : {Dtype::kFp64, Dtype::kFp32, Dtype::kBf16}) {
    Transformer model(
        config_, testing::on_test_device({.dtype = dtype, .seed = 1}));
    auto whole = gradients(model, batch, 12);
    auto split = gradients(model, batch, 5);
    auto means = mean_of_means(model, batch, 5);
    for (size_t i = 0; i < whole.size(); ++i) {
      const std::string& name = model.named_parameters()[i].first;
      // The gate of the embeddings, the widest.
      const double gate = gradient_gate(dtype, config_.num_layers, 0);
      auto error = [&](const at::Tensor& got) {
        return ((got - whole[i]).norm() / whole[i].norm()).item<double>();
      };
      EXPECT_LE(error(split[i]), gate) << name;
      EXPECT_GT(error(means[i]), gate) << "mean of means passes for " << name;
      at::Tensor rolled = whole[i].flatten().roll(1).view_as(whole[i]);
      EXPECT_GT(error(rolled), gate) << "rolled gradient passes for " << name;
    }
  }
}

/// The accumulated gradients of a batch; `apart`: every micro-batch into
/// gradients of its own that are then added up, as frameworks do.
std::vector<at::Tensor> fold(
    const Transformer& model,
    const RaggedBatch& batch,
    int64_t micro_batch,
    bool apart,
    const tensor::DropoutKey& dropout = {}) {
  std::vector<at::Tensor> total;
  std::optional<Accumulators> sums;
  for (Range part : split_range(batch.size(), micro_batch)) {
    if (apart || !sums) {
      sums.emplace(model.parameters());
    }
    model.loss(batch.part(part), {.dropout = dropout}).accumulate(*sums);
    if (apart || part.end == batch.size()) {
      sums->merge();
      std::vector<at::Tensor> gradients = sums->gradients();
      for (size_t i = 0; i < gradients.size(); ++i) {
        gradients[i] =
            total.empty() ? gradients[i].clone() : total[i] + gradients[i];
      }
      total = std::move(gradients);
    }
  }
  return total;
}

TEST_P(SplitTest, BitsAreThoseOfTheFoldPerSample) {
  ACCRUE_SKIP_WITHOUT_BITS();
  torch::manual_seed(7);
  RaggedBatch batch = random_batch(config_, 12);
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    Transformer model(
        config_, testing::on_test_device({.dtype = dtype, .seed = 1}));
    auto want = fold(model, batch, 1, false);
    for (int64_t micro_batch : {2, 3, 5, 12}) {
      auto got = fold(model, batch, micro_batch, false);
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_TRUE(got[i].equal(want[i])) << "parameter " << i;
      }
    }
    auto control = fold(model, batch, 5, true);
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(want[i].dim() < 2 || !control[i].equal(want[i]))
          << "folded per micro-batch: parameter " << i;
    }
  }
}

TEST_P(SplitTest, ZeroGradChangesNoBitsOrIsRefused) {
  torch::manual_seed(7);
  RaggedBatch batch = random_batch(config_, 12);
  Transformer model(
      config_, testing::on_test_device({.dtype = Dtype::kFp32, .seed = 1}));
  auto want = gradients(model, batch, 5);
  Window window(model.parameters());
  auto zero_grad = [&](bool to_none) {
    for (const at::Tensor& parameter : model.parameters()) {
      at::Tensor& grad = parameter.mutable_grad();
      if (to_none) {
        grad.reset();
      } else {
        grad.zero_();
      }
    }
  };
  for (bool to_none : {true, false}) {
    zero_grad(to_none);
    for (Range part : split_range(12, 5)) {
      window.add(testing::loss(model, batch.part(part)));
    }
    window.normalize();
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(window.gradients()[i].equal(want[i])) << i;
    }
    window.begin();
    window.add(testing::loss(model, batch.part({0, 5})));
    zero_grad(to_none);
    EXPECT_THROW(window.add(testing::loss(model, batch.part({5, 12}))), Error);
    window.begin();
  }
}

TEST_P(SplitTest, TargetsWithoutWeightMayBeAnything) {
  ACCRUE_SKIP_WITHOUT_BITS();
  torch::manual_seed(3);
  Transformer model(
      config_, testing::on_test_device({.dtype = Dtype::kFp32, .seed = 1}));
  RaggedBatch batch = random_batch(config_, 12);
  auto want = gradients(model, batch, 5);
  batch.targets.masked_fill_(batch.weights == 0, -100);
  for (int64_t micro_batch : {1, 5, 12}) {
    auto got = gradients(model, batch, micro_batch);
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(torch::equal(got[i], want[i]))
          << model.named_parameters()[i].first;
    }
  }
  batch.targets.masked_fill_(batch.weights != 0, config_.vocab_size);
  EXPECT_THROW(gradients(model, batch, 5), DataError);
}

TEST_P(SplitTest, DropoutMaskOfASampleDoesNotDependOnTheSplit) {
  torch::manual_seed(4);
  Transformer model(
      config_, testing::on_test_device({.dtype = Dtype::kFp64, .seed = 1}));
  RaggedBatch batch = random_batch(config_, 6);
  tensor::DropoutKey key{.probability = 0.3, .seed = 9, .step = 4};
  double whole = model.loss_sum(batch.part({0, 6}), key).item<double>();
  double split = 0;
  for (Range part : split_range(6, 1)) {
    split += model.loss_sum(batch.part(part), key).item<double>();
  }
  EXPECT_NEAR(split / whole, 1, 1e-12);
  EXPECT_NE(whole, model.loss_sum(batch.part({0, 6})).item<double>());
  key.step = 5;
  EXPECT_NE(whole, model.loss_sum(batch.part({0, 6}), key).item<double>());
}

TEST(LongSampleTest, BitsDoNotDependOnTheSplitOrThreads) {
  // Samples longer than a segment, a chunk and a block of queries; products
  // wider than a block of columns, and of widths that fill no vector.
  ModelConfig config = read_model_config(kOracle / "gpt2.json");
  config.width = 268;
  config.num_heads = config.num_kv_heads = 4;
  config.head_dim = 67;
  config.mlp_width = 900;
  config.vocab_size = 1550;
  config.max_positions = 1100;
  torch::manual_seed(8);
  RaggedBatch batch = random_batch(config, {600, 1, 300, 1100, 37});
  int threads = at::get_num_threads();
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    Transformer model(
        config, testing::on_test_device({.dtype = dtype, .seed = 1}));
    tensor::DropoutKey key{.probability = 0.1, .seed = 9, .step = 4};
    auto want = fold(model, batch, 1, false, key);
    for (int64_t micro_batch : {1, 2, 5}) {
      for (int n : {1, 2, 3}) {
        at::set_num_threads(n);
        auto got = fold(model, batch, micro_batch, false, key);
        for (size_t i = 0; i < want.size(); ++i) {
          EXPECT_TRUE(got[i].equal(want[i]))
              << "parameter " << i << ", micro-batch " << micro_batch << ", "
              << n << " threads";
        }
      }
    }
    at::set_num_threads(threads);
  }
}

} // namespace
} // namespace accrue
