// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/full.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cmath>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "accrue/optim/schedule.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"
#include "objectives/preference.h"
#include "ragged_batch.h"
#include "support.h"
#include "test_device.h"

// Models of every family against the values of tests/oracle.

namespace accrue {
namespace {

using testing::expect_contains;
using testing::expect_near;
using testing::gradients;
using testing::loss;
using testing::max_relative_error;
using testing::message_of;
using testing::RaggedBatch;
using testing::random_batch;

const std::filesystem::path kOracle = ACCRUE_ORACLE_DIR;

class FamilyTest : public ::testing::TestWithParam<const char*> {
 protected:
  ModelConfig config_ =
      read_model_config(kOracle / (std::string(GetParam()) + ".json"));
  TensorMap oracle_ =
      load_safetensors(kOracle / (std::string(GetParam()) + ".safetensors"));

  /// The oracle's tensors under a prefix.
  TensorMap part(const std::string& prefix) const {
    TensorMap tensors;
    for (const auto& [name, tensor] : oracle_) {
      if (name.starts_with(prefix)) {
        tensors[name.substr(prefix.size())] = tensor;
      }
    }
    return tensors;
  }

  Transformer oracle_model(const ModelOptions& options = {Dtype::kFp64}) const {
    Transformer model(config_, testing::on_test_device(options));
    copy_tensors(part("weight."), model.state());
    return model;
  }

  /// With the adapters of tests/oracle/generate.py.
  Transformer lora_model(Dtype dtype, bool bf16_base = false) const {
    bool gpt2 = config_.family == Family::kGpt2;
    LoraOptions lora{
        .rank = 3,
        .alpha = 5,
        .targets = gpt2
            ? std::vector<std::string>{"c_attn", "c_fc"}
            : std::vector<std::string>{"q_proj", "v_proj", "mlp.down_proj"}};
    Transformer model =
        oracle_model({.dtype = dtype, .lora = lora, .bf16_base = bf16_base});
    copy_tensors(part("lora.weight."), model.adapters());
    return model;
  }

  RaggedBatch oracle_batch(int64_t index) const {
    return oracle_batch("batch." + std::to_string(index) + ".");
  }
  RaggedBatch oracle_batch(const std::string& prefix) const {
    at::Tensor lengths = oracle_.at(prefix + "lengths");
    const auto* data = lengths.const_data_ptr<int64_t>();
    return {
        oracle_.at(prefix + "tokens"),
        oracle_.at(prefix + "targets"),
        oracle_.at(prefix + "weights"),
        {data, data + lengths.numel()}};
  }
};

INSTANTIATE_TEST_SUITE_P(
    Families,
    FamilyTest,
    testing::families(),
    [](const auto& family) { return std::string(family.param); });

TEST_P(FamilyTest, LossAndEveryGradientAgreeWithTransformers) {
  struct Case {
    Dtype dtype;
    double rtol; // of the loss, of the gradients
    double gradient_rtol;
  };
  RaggedBatch batch = oracle_batch(0);
  // fp32: 24 bits and sums of some hundred terms; bf16: 8 bits per product.
  for (const Case& c :
       {Case{Dtype::kFp64, 1e-9, 1e-9},
        Case{Dtype::kFp32, 1e-6, 2e-5},
        Case{Dtype::kBf16, 1e-2, 0.1}}) {
    Transformer model = oracle_model({c.dtype});
    at::Tensor sum = model.loss_sum(batch.part({0, batch.size()}));
    expect_near(
        sum.reshape(1).to(at::kDouble), oracle_.at("loss_sum"), c.rtol, "loss");
    auto got = gradients(model, batch, batch.size());
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string& name = model.named_parameters()[i].first;
      expect_near(
          got[i].to(at::kDouble),
          oracle_.at("gradient." + name),
          c.gradient_rtol,
          name);
    }
  }
}

TEST_P(FamilyTest, LogitsAgreeWithTransformers) {
  const at::Tensor& want = oracle_.at("logits");
  TokenBatch batch = oracle_batch(0).part({0, 5});
  at::Tensor fp64 = oracle_model().logits(batch);
  EXPECT_LT((fp64 - want).abs().max().item<double>(), 1e-9);
  at::Tensor fp32 = oracle_model({Dtype::kFp32}).logits(batch);
  EXPECT_LT((fp32 - want).abs().max().item<double>(), 1e-4);
}

TEST_P(FamilyTest, TokenByTokenTheLogitsAreTheSame) {
  Transformer model = oracle_model();
  RaggedBatch ragged = oracle_batch(0);
  for (int64_t sample = 0; sample < 3; ++sample) {
    TokenBatch batch = ragged.part({sample, sample + 1});
    at::Tensor want = model.logits(batch);
    const auto* tokens = batch.tokens.const_data_ptr<int64_t>();
    int64_t length = batch.offsets.back();
    auto cache = model.make_cache(length);
    int64_t half = (length + 1) / 2;
    for (int64_t t = 0; t < length; t += t == 0 ? half : 1) {
      int64_t count = t == 0 ? half : 1;
      at::Tensor got =
          model.next_logits({tokens + t, static_cast<size_t>(count)}, *cache);
      double error = (got - want[t + count - 1]).abs().max().item<double>();
      EXPECT_LT(error, 1e-10) << "token " << t;
    }
    EXPECT_THROW(model.next_logits({tokens, 1}, *cache), DataError);
  }
}

TEST_P(FamilyTest, AdaptersAgreeWithTheOracle) {
  Transformer model = lora_model(Dtype::kFp64);
  RaggedBatch batch = oracle_batch(0);
  at::Tensor sum = model.loss_sum(batch.part({0, batch.size()}));
  expect_near(sum.reshape(1), oracle_.at("lora.loss_sum"), 1e-9, "loss");
  TensorMap adapters = model.adapters();
  for (int64_t micro_batch : {5, 2}) {
    auto got = gradients(model, batch, micro_batch);
    size_t i = 0;
    for (const auto& [name, parameter] : model.named_parameters()) {
      EXPECT_EQ(parameter.requires_grad(), adapters.contains(name)) << name;
      if (parameter.requires_grad()) {
        expect_near(got[i++], oracle_.at("lora.gradient." + name), 1e-9, name);
      }
    }
    EXPECT_EQ(i, got.size());
  }
}

TEST_P(FamilyTest, MergedAdaptersGiveTheSameLogits) {
  Transformer model = lora_model(Dtype::kFp64);
  TokenBatch batch = oracle_batch(0).part({0, 5});
  at::Tensor want = model.logits(batch);
  at::Tensor bare = oracle_model().logits(batch);
  EXPECT_GT((want - bare).abs().max().item<double>(), 1e-3);
  model.merge_adapters();
  EXPECT_LT((model.logits(batch) - want).abs().max().item<double>(), 1e-10);
  Transformer merged(config_, Dtype::kFp64, 0);
  copy_tensors(model.state(), merged.state());
  EXPECT_LT((merged.logits(batch) - want).abs().max().item<double>(), 1e-10);
}

TEST_P(FamilyTest, BitsOfAdaptersAreThoseOfTheFoldPerSample) {
  ACCRUE_SKIP_WITHOUT_BITS();
  torch::manual_seed(7);
  RaggedBatch batch = random_batch(config_, 12);
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    Transformer model = lora_model(dtype, /*bf16_base=*/true);
    for (const auto& [name, tensor] : model.state()) {
      EXPECT_EQ(
          tensor.scalar_type(), tensor.dim() == 2 ? at::kBFloat16 : at::kFloat)
          << name;
    }
    auto want = gradients(model, batch, 1);
    for (int64_t micro_batch : {2, 5, 12}) {
      auto got = gradients(model, batch, micro_batch);
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_TRUE(got[i].equal(want[i])) << "parameter " << i;
      }
    }
  }
}

TEST_P(FamilyTest, PreferenceLossAgreesWithTheOracle) {
  Transformer model = oracle_model();
  RaggedBatch ragged = oracle_batch("dpo.");
  const auto* reference = oracle_.at("dpo.references").const_data_ptr<double>();
  std::vector<PairReference> references;
  for (int i = 0; i < 3; ++i) {
    references.push_back({reference[2 * i], reference[2 * i + 1]});
  }
  for (int64_t pairs : {3, 1}) { // at once
    Window window(model.parameters());
    std::vector<double> sums{0, 0};
    for (int64_t i = 0; i < 3; i += pairs) {
      TokenBatch batch = ragged.part({2 * i, 2 * (i + pairs)});
      LossTerms terms = preference_terms(
          batch,
          {references.begin() + i, references.begin() + i + pairs},
          0.3,
          Dtype::kFp64);
      ModelLoss loss = model.loss(batch, {}, terms.objective);
      loss.weight = 1.0 / 3 * static_cast<double>(pairs);
      window.add(loss);
      sums[0] += (*terms.figures)[0];
      sums[1] += (*terms.figures)[1];
    }
    // By 1: the oracle's gradient is of the sum.
    const double loss = window.normalize().loss;
    EXPECT_NEAR(loss / oracle_.at("dpo.loss").item<double>(), 1, 1e-9);
    EXPECT_NEAR(
        sums[0] / oracle_.at("dpo.margins").sum().item<double>(), 1, 1e-9);
    EXPECT_EQ(sums[1], oracle_.at("dpo.margins").gt(0).sum().item<double>());
    auto got = window.gradients();
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string& name = model.named_parameters()[i].first;
      expect_near(got[i], oracle_.at("dpo.gradient." + name), 1e-9, name);
    }
  }
}

TEST_P(FamilyTest, TenStepsOfAdamWFollowTheOracle) {
  Transformer model = oracle_model();
  // The constants of tests/oracle/generate.py.
  AdamW adamw(
      model.parameters(),
      {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1});
  Schedule schedule{.lr = 3e-3, .warmup_steps = 3, .total_steps = 10};
  Window window(model.parameters());
  const auto* curve = oracle_.at("curve").const_data_ptr<double>();
  const auto* norms = oracle_.at("norms").const_data_ptr<double>();
  for (int64_t step = 0; step < 10; ++step) {
    adamw.set_learning_rate(schedule.at(step));
    RaggedBatch batch = oracle_batch(step);
    for (Range part : split_range(batch.size(), 2)) {
      window.add(loss(model, batch.part(part)));
    }
    StepReport report = window.commit(adamw, {.clip_norm = 0.5});
    EXPECT_NEAR(report.loss / curve[step], 1, 1e-7) << "step " << step;
    EXPECT_NEAR(report.grad_norm / norms[step], 1, 1e-7) << "step " << step;
  }
}

TEST_P(FamilyTest, Bf16IsNearFp32) {
  torch::manual_seed(5);
  RaggedBatch batch = random_batch(config_, 6);
  Transformer fp32(config_, Dtype::kFp32, 1);
  Transformer bf16(config_, Dtype::kBf16, 1);
  auto want = gradients(fp32, batch, 6);
  auto got = gradients(bf16, batch, 2);
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].scalar_type(), at::kFloat);
    double error = ((got[i] - want[i]).norm() / want[i].norm()).item<double>();
    // bf16 keeps eight bits (0.4 %); rounding errors add up over the layers,
    // most where gradients cancel, as in the keys' bias.
    EXPECT_LT(error, 0.1) << bf16.named_parameters()[i].first;
    EXPECT_GT(error, 0) << "bf16 was not used";
  }
}

TEST_P(FamilyTest, SameSeedSameWeightsOtherSeedOther) {
  Transformer a(config_, Dtype::kFp32, 1);
  Transformer b(config_, Dtype::kFp32, 1);
  Transformer c(config_, Dtype::kFp32, 2);
  at::Tensor wa = a.parameters()[0];
  EXPECT_TRUE(wa.equal(b.parameters()[0]));
  EXPECT_FALSE(wa.equal(c.parameters()[0]));
}

TEST_P(FamilyTest, ForeignWeightsAreListed) {
  Transformer model(
      config_, testing::on_test_device({.dtype = Dtype::kFp32, .seed = 1}));
  TensorMap state = model.state();
  std::string first = state.begin()->first;
  std::string last = state.rbegin()->first;
  state.erase(first);
  state[last] = torch::zeros({1, 2, 3});
  state["extra"] = torch::zeros({1});
  auto message =
      message_of<DataError>([&] { copy_tensors(state, model.state()); });
  expect_contains(message, "\"" + first + "\" is missing");
  expect_contains(message, "\"" + last + "\" must have the shape");
  expect_contains(message, "\"extra\" is not expected");
}

TEST_P(FamilyTest, ALossThatIsDroppedLeavesNoTrace) {
  Transformer model(
      config_, testing::on_test_device({.dtype = Dtype::kFp32, .seed = 1}));
  RaggedBatch batch = random_batch(config_, 4);
  auto want = gradients(model, batch, 2);
  Window window(model.parameters());
  for (Range part : split_range(4, 2)) {
    ModelLoss dropped = model.loss(batch.part({0, 4}));
    (void)model.loss_sum(batch.part({1, 3}));
    window.add(loss(model, batch.part(part)));
  }
  window.normalize();
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_TRUE(window.gradients()[i].equal(want[i])) << i;
  }
}

TEST_P(FamilyTest, AnUnfinishedWindowGoesOnInAnotherOne) {
  ACCRUE_SKIP_WITHOUT_BITS();
  RaggedBatch batch = random_batch(config_, 12);
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    Transformer model(
        config_, testing::on_test_device({.dtype = dtype, .seed = 1}));
    auto want = gradients(model, batch, 12);
    Window::Unfinished state;
    {
      Window window(model.parameters());
      window.add(loss(model, batch.part({0, 5})));
      window.add(loss(model, batch.part({5, 7})));
      state = window.save();
      window.add(loss(model, batch.part({7, 12}))); // of no consequence
    }
    Window window(model.parameters());
    window.add(loss(model, batch.part({2, 3}))); // forgotten
    window.restore(state);
    for (int64_t i = 7; i < 12; ++i) {
      window.add(loss(model, batch.part({i, i + 1})));
    }
    EXPECT_EQ(window.normalize().micro_batches, 7);
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(window.gradients()[i].equal(want[i])) << i;
    }
  }
}

TEST(InitTest, Gpt2ScalesTheResidualWeights) {
  ModelConfig config = read_model_config(kOracle / "gpt2.json");
  config.width = 64;
  config.head_dim = 32;
  config.mlp_width = 256;
  Transformer model(
      config, testing::on_test_device({.dtype = Dtype::kFp32, .seed = 1}));
  for (const auto& [name, tensor] : model.named_parameters()) {
    double std = tensor.detach().std().item<double>();
    if (name.find("c_proj.weight") != std::string::npos) {
      EXPECT_NEAR(std, 0.02 / std::sqrt(2.0 * 2), 0.001) << name;
    } else if (tensor.dim() == 2) {
      EXPECT_NEAR(std, 0.02, 0.002) << name;
    } else {
      EXPECT_EQ(std, 0) << name; // norms 1, biases 0
    }
  }
}

} // namespace
} // namespace accrue
