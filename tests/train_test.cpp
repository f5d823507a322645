// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "device/memory.h"
#include "failing_allocator.h"
#include "io/files.h"
#include "ragged_batch.h"
#include "run/compare.h"
#include "run/options.h"
#include "run/task.h"
#include "run/trainer.h"
#include "run/verify.h"
#include "run/watch.h"
#include "support.h"

namespace accrue {
namespace {

using testing::expect_contains;

TEST(VerifyTest, GateOfEveryDtype) {
  EXPECT_DOUBLE_EQ(gradient_gate(Dtype::kFp64, 6, 3), 1e-10);
  EXPECT_DOUBLE_EQ(gradient_gate(Dtype::kFp32, 6, 7), 4 * 0x1p-23);
  EXPECT_DOUBLE_EQ(
      gradient_gate(Dtype::kFp32, 6, 0), 4 * std::pow(1.03, 7) * 0x1p-23);
  EXPECT_DOUBLE_EQ(
      gradient_gate(Dtype::kBf16, 2, 2), 4 * std::pow(1.03, 1) * 0x1p-7);
}

TEST(VerifyTest, ControlOneTensorBeyondItsGateFails) {
  Verification result;
  result.tensors = {{.name = "a", .relative_error = 1e-8, .gate = 1e-7}};
  EXPECT_TRUE(result.passed());
  for (double error : {2e-7, double{NAN}, double{INFINITY}}) {
    result.tensors.resize(1);
    result.tensors.push_back(
        {.name = "b", .relative_error = error, .gate = 1e-7});
    EXPECT_FALSE(result.passed());
  }
}

TEST(CompareTest, QuantilesAreThoseOfTables) {
  // scipy.stats.t.ppf(0.975, ν)
  EXPECT_NEAR(student_quantile(1), 12.706204736, 1e-8);
  EXPECT_NEAR(student_quantile(2), 4.3026527297, 1e-8);
  EXPECT_NEAR(student_quantile(3), 3.1824463053, 1e-8);
  EXPECT_NEAR(student_quantile(10), 2.2281388520, 1e-8);
  EXPECT_NEAR(student_quantile(31), 2.0395134464, 1e-8);
  EXPECT_NEAR(student_quantile(1000), 1.9623390809, 1e-8);
  EXPECT_NEAR(student_quantile(10'000'000), 1.9599639845, 3e-5);
}

TEST(CompareTest, IntervalOfARatioOfSums) {
  // By hand: d = Σ(b - a) / Σw, e = b - a - d·w,
  // s = √(Σe² · n / (n - 1)) / Σw, d ± 3.1824·s.
  std::vector<SampleLoss> a = {{2, 1}, {4.5, 2}, {1, 1}, {9, 4}};
  std::vector<SampleLoss> b = {{1.5, 1}, {4, 2}, {1.2, 1}, {6, 4}};
  Comparison result = compare(a, b).value();
  EXPECT_NEAR(result.difference, -0.475, 1e-15);
  EXPECT_NEAR(result.standard_error, 0.19731267487585957, 1e-15);
  EXPECT_NEAR(result.low, -1.1029369931444344, 1e-12);
  EXPECT_NEAR(result.high, 0.15293699314443432, 1e-12);
  EXPECT_FALSE(result.decided());
  Comparison back = compare(b, a).value();
  EXPECT_EQ(back.low, -result.high);
  EXPECT_FALSE(compare(a, a)->decided()) << "equal models";
  EXPECT_FALSE(compare({a.data(), 1}, {b.data(), 1}).has_value());
  b = {{1, 1}, {2.4, 2}, {0, 1}, {4.9, 4}};
  EXPECT_TRUE(compare(a, b)->decided());
}

TEST(WatchTest, NoticesWhatLeavesTheBandAndNothingElse) {
  CounterRandom noise(7);
  auto step = [&](int64_t i) {
    report::StepMetrics m;
    auto [a, b] = noise.normal(static_cast<uint64_t>(i));
    // A usual run: falling fast, then slowly, with noise of some percent.
    m.loss = 2 + 8 * std::exp(-static_cast<double>(i) / 40) + 0.05 * a;
    m.grad_norm = std::exp(0.3 * b);
    return m;
  };
  Watch calm;
  for (int64_t i = 0; i < 5000; ++i) {
    EXPECT_TRUE(calm.look(step(i)).empty()) << "step " << i;
  }
  Watch watch;
  for (int64_t i = 0; i < 100; ++i) {
    watch.look(step(i));
  }
  report::StepMetrics bad = step(100);
  bad.loss = 6;
  auto found = watch.look(bad);
  ASSERT_EQ(found.size(), 1U);
  expect_contains(found[0], "the loss is 6, expected ");
  EXPECT_TRUE(watch.look(bad).empty()) << "said once";
  for (int64_t i = 102; i < 120; ++i) {
    EXPECT_TRUE(watch.look(step(i)).empty()) << "step " << i;
  }
  bad = step(120);
  bad.loss = 0.1;
  bad.grad_norm = 200;
  EXPECT_EQ(watch.look(bad).size(), 2U);
  bad.grad_norm = 0;
  EXPECT_TRUE(watch.look(bad).empty()) << "outside already";
  watch.look(step(122));
  bad.loss = step(123).loss;
  found = watch.look(bad);
  ASSERT_EQ(found.size(), 1U);
  expect_contains(found[0], "the gradient norm is");
  bad.loss = NAN; // what to do about it is --on-nonfinite's
  EXPECT_TRUE(watch.look(bad).empty());
  Watch early;
  early.look(step(0));
  EXPECT_TRUE(early.look(bad).empty()) << "too few steps to tell";
}

TEST(BatchTest, SamplesAreLaidEndToEnd) {
  std::vector<Sample> samples{
      {.id = 7, .sequences = {{7, {1, 2, 3}, {}}}},
      {.id = 9, .sequences = {{9, {4, 5, 6}, {0, 1}}}}};
  TokenBatch batch = make_batch(samples);
  auto list = [](const at::Tensor& tensor) {
    const auto* data = tensor.const_data_ptr<int64_t>();
    return std::vector<int64_t>(data, data + tensor.numel());
  };
  EXPECT_EQ(list(batch.tokens), (std::vector<int64_t>{1, 2, 4, 5}));
  EXPECT_EQ(list(batch.targets), (std::vector<int64_t>{2, 3, 5, 6}));
  EXPECT_EQ(list(batch.positions), (std::vector<int64_t>{0, 1, 0, 1}));
  EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(batch.sample_ids, (std::vector<uint64_t>{7, 9}));
  EXPECT_EQ(batch.target_weight, 3);
}

TEST(OptionsTest, TomlHoldsWhatIsSet) {
  TrainOptions options;
  options.model = "a \"b\"";
  options.data = {"x", "y"};
  options.lr = 1;
  options.memory = Bytes{1024};
  std::string toml = to_toml(options);
  expect_contains(toml, "model = \"a \\\"b\\\"\"\n");
  expect_contains(toml, "data = [\"x\",\"y\"]\n");
  expect_contains(toml, "lr = 1.0\n");
  expect_contains(toml, "memory = 1024\n");
  expect_contains(toml, "dtype = \"fp32\"\n");
  EXPECT_EQ(toml.find("micro_batch"), std::string::npos);
}

TEST(OptionsTest, OnlyLogicalDifferencesCount) {
  TrainOptions a;
  TrainOptions b;
  b.micro_batch = 3;
  b.threads = 9;
  b.steps = 5;
  EXPECT_TRUE(logical_differences(a, b).empty());
  b.global_batch = 4;
  ASSERT_EQ(logical_differences(a, b).size(), 1U);
  EXPECT_EQ(
      logical_differences(a, b)[0], "--global-batch was not given, now 4");
}

/// Runs the program's training loop, in this process.
class TrainingTest : public ::testing::Test {
 protected:
  std::string run(
      const std::string& name,
      const OnStep& on_step,
      const std::function<void(TrainOptions&)>& change = {},
      std::unique_ptr<Objective> objective = nullptr) {
    TrainOptions options;
    options.model = folder_.write(
        "config.json",
        R"({"model_type": "gpt2", "vocab_size": 256, "n_positions": 32,
            "n_embd": 16, "n_layer": 2, "n_head": 2})");
    std::string text;
    for (int i = 0; i < 400; ++i) {
      text += fmt::format("{} whales ", i * i);
    }
    options.data = {folder_.write("text.txt", text)};
    options.global_batch = 7;
    options.micro_batch = 3;
    options.steps = 3;
    options.dropout = 0.1;
    options.out = (folder_ / name).string();
    if (change) {
      change(options);
    }
    report::Progress progress(stderr, /*quiet=*/true);
    Task task(
        options,
        /*needs_out=*/true,
        progress.callback(),
        {},
        std::move(objective));
    train(task, progress, on_step);
    return io::read_file(
        folder_ /
        (name +
         (options.lora_rank ? "/model/adapter_model.safetensors"
                            : "/model/model.safetensors")));
  }

  /// A run whose second window runs out of memory, at every allocation in turn.
  void expect_bits_of_undisturbed(
      const std::function<void(TrainOptions&)>& change) {
    const device::AllocatorScope scope;
    testing::FailingAllocator allocator;
    std::vector<report::StepMetrics> undisturbed;
    int64_t allocations = 0;
    auto watch = [&](const report::StepMetrics& m) {
      undisturbed.push_back(m);
      if (m.step == 2) {
        allocations = allocator.count();
      }
      allocator.reset_count();
    };
    std::string want = run("whole", watch, change);
    ASSERT_GT(allocations, 50);
    for (int64_t failure = 0; failure < allocations; ++failure) {
      std::vector<report::StepMetrics> metrics;
      auto fail = [&](const report::StepMetrics& m) {
        metrics.push_back(m);
        if (m.step == 1) {
          allocator.fail(failure);
        }
      };
      std::string got = run(fmt::format("out-{}", failure), fail, change);
      ASSERT_TRUE(got == want) << "allocation " << failure;
      ASSERT_EQ(metrics[1].rollbacks, 1) << "allocation " << failure;
      for (size_t i = 0; i < metrics.size(); ++i) {
        EXPECT_EQ(metrics[i].loss, undisturbed[i].loss);
        EXPECT_EQ(metrics[i].tokens, undisturbed[i].tokens);
        EXPECT_EQ(metrics[i].target_tokens, undisturbed[i].target_tokens);
        EXPECT_EQ(metrics[i].reward_margin, undisturbed[i].reward_margin);
      }
    }
  }

  testing::TemporaryFolder folder_;
};

/// Σ of the squares of the tokens' losses, a toy: the loop does not know it.
class SquaredLoss final : public Objective {
 public:
  void prepare(const Preparation& preparation) override {
    prepared = preparation.data.train.size();
  }
  LossTerms terms(const TokenBatch& batch, const Examples&) const override {
    LossTerms terms{
        .weight = batch.target_weight,
        .figures = std::make_shared<std::vector<double>>(1)};
    terms.objective = [figures = terms.figures](
                          const at::Tensor& losses,
                          const at::Tensor& derivative) {
      derivative.copy_(2 * losses);
      (*figures)[0] += losses.max().item<double>();
      return losses.square().sum().item<double>();
    };
    return terms;
  }
  void report(
      std::span<const double> figures,
      double weight,
      report::StepMetrics& metrics) const override {
    EXPECT_GT(figures[0], 0);
    metrics.reward_margin = figures[0] / weight;
  }

  inline static uint64_t prepared = 0;
};

TEST_F(TrainingTest, AnObjectiveIsAddedWithoutTouchingTheLoop) {
  auto train_with = [&](int64_t micro_batch, const std::string& name) {
    std::vector<report::StepMetrics> metrics;
    std::string weights = run(
        name,
        [&](const report::StepMetrics& m) { metrics.push_back(m); },
        [&](TrainOptions& options) {
          options.micro_batch = micro_batch;
          options.valid_fraction = 0.1;
        },
        std::make_unique<SquaredLoss>());
    // Near log(256)² at the beginning, for every target.
    EXPECT_NEAR(metrics.front().loss, 30.7, 1);
    EXPECT_NEAR(*metrics.back().valid_loss, metrics.back().loss, 2);
    EXPECT_GT(*metrics.front().reward_margin, 0);
    return weights;
  };
  const std::string want = train_with(7, "whole");
  EXPECT_EQ(train_with(1, "single"), want);
  EXPECT_GT(SquaredLoss::prepared, 0U);
  EXPECT_NE(run("lm", [](const auto&) {}), want);
}

TEST_F(TrainingTest, OutOfMemoryAtEveryAllocationLeavesTheBits) {
  ACCRUE_SKIP_WITHOUT_BITS();
  expect_bits_of_undisturbed({});
}

TEST_F(TrainingTest, OutOfMemoryLeavesTheBitsOfAdaptersAndPreferences) {
  ACCRUE_SKIP_WITHOUT_BITS();
  std::string pairs;
  for (int i = 0; i < 20; ++i) {
    pairs += fmt::format(
        R"({{"prompt": "{0} ", "chosen": "whale {1}", "rejected": "no"}})"
        "\n",
        i,
        i * i);
  }
  run("base", [](const auto&) {});
  expect_bits_of_undisturbed([&](TrainOptions& options) {
    options.model = (folder_ / "base" / "model").string();
    options.data = {folder_.write("pairs.jsonl", pairs)};
    options.objective = ObjectiveKind::kDpo;
    options.lora_rank = 2;
  });
}

TEST_F(TrainingTest, OutOfMemoryAtOneSampleTurnsOnCheckpointing) {
  const device::AllocatorScope scope;
  testing::FailingAllocator allocator;
  auto one = [](TrainOptions& options) { options.micro_batch = 1; };
  auto fails = [&](const report::StepMetrics& m) {
    if (m.step == 1) {
      allocator.fail(20);
    }
  };
  std::string want = run(
      "whole", [](const auto&) {}, one);
  EXPECT_EQ(run("failed", fails, one), want);
  auto off = [&](TrainOptions& options) {
    one(options);
    options.checkpointing = Checkpointing::kOff;
  };
  expect_contains(
      testing::message_of<MemoryError>([&] { run("off", fails, off); }),
      "does not fit, alone");
}

} // namespace
} // namespace accrue
