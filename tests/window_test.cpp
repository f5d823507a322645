// SPDX-License-Identifier: Apache-2.0
#include <torch/optim/sgd.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "accrue/core/error.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"
#include "regression.h"
#include "support.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::expect_near;
using testing::gradients;
using testing::max_relative_error;
using testing::message_of;
using testing::Regression;

// A mean can't be passed off as a sum: a tensor alone is no LossSum.
static_assert(!std::is_convertible_v<at::Tensor, LossSum>);
template <class Loss>
concept Addable = requires(Window& window, Loss loss) {
  window.add(loss);
};
static_assert(Addable<LossSum>);
static_assert(!Addable<at::Tensor>);

TEST(SplitTest, LastMicroBatchIsShort) {
  EXPECT_EQ(split_range(7, 3), (std::vector<Range>{{0, 3}, {3, 6}, {6, 7}}));
  EXPECT_EQ(split_range(2, 9), (std::vector<Range>{{0, 2}}));
  EXPECT_TRUE(split_range(0, 3).empty());
  EXPECT_THROW((void)split_range(3, 0), ConfigError);
  EXPECT_EQ(num_micro_batches(7, 3), 3);
  EXPECT_EQ(num_micro_batches(6, 3), 2);
}

TEST(SplitTest, TokenLimitIsKeptWhereASampleAllowsIt) {
  std::vector<int64_t> lengths{3, 4, 2, 9, 1, 1, 5};
  EXPECT_EQ(
      split_by_tokens(lengths, 7),
      (std::vector<Range>{{0, 2}, {2, 3}, {3, 4}, {4, 7}}));
  EXPECT_THROW((void)split_by_tokens(lengths, 0), ConfigError);
}

TEST(SplitTest, ViewsOfVectorsAndExamples) {
  std::vector<int> batch{1, 2, 3, 4, 5};
  auto parts = split(batch, 2);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[2][0], 5);
  struct Example {
    at::Tensor data, target;
  };
  auto examples = split(Example{torch::arange(5), torch::arange(5)}, 4);
  ASSERT_EQ(examples.size(), 2U);
  EXPECT_EQ(examples[1].data.item<int64_t>(), 4);
}

TEST(WindowTest, AnySplitGivesTheGradientOfTheWholeBatch) {
  Regression task;
  StepReport whole_report;
  auto whole = gradients(task, 12, &whole_report);
  for (int64_t micro_batch : {1, 2, 3, 5, 7}) {
    StepReport report;
    auto split = gradients(task, micro_batch, &report);
    for (size_t i = 0; i < whole.size(); ++i) {
      expect_near(split[i], whole[i], 1e-10, "gradient");
    }
    EXPECT_NEAR(report.loss, whole_report.loss, 1e-12);
    EXPECT_DOUBLE_EQ(report.weight, whole_report.weight);
    EXPECT_EQ(report.micro_batches, (12 + micro_batch - 1) / micro_batch);
  }
}

TEST(WindowTest, ControlMeanOfMeansFailsTheGate) {
  Regression task;
  auto whole = gradients(task, 12);
  std::vector<at::Tensor> means;
  auto parts = split_range(12, 5);
  for (Range rows : parts) {
    LossSum loss = task.loss(rows);
    (loss.sum / loss.weight.value / static_cast<double>(parts.size()))
        .backward();
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_GT(max_relative_error(task.parameters()[i].grad(), whole[i]), 1e-3);
  }
}

TEST(WindowTest, ControlRolledGradientFailsTheGate) {
  Regression task;
  for (const at::Tensor& gradient : gradients(task, 12)) {
    at::Tensor rolled = gradient.flatten().roll(1).view_as(gradient);
    EXPECT_GT(max_relative_error(rolled, gradient), 1e-3);
  }
}

TEST(WindowTest, ZeroWeightMicroBatchContributesExactlyNothing) {
  Regression task;
  auto want = gradients(task, 4);
  Window window(task.parameters());
  for (Range rows : split_range(12, 4)) {
    window.add(task.loss(rows));
    // Even if its loss is not a number.
    window.add({.sum = task.loss(rows).sum * NAN, .weight = 0});
  }
  EXPECT_EQ(window.normalize().micro_batches, 6);
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_TRUE(window.gradients()[i].equal(want[i]));
  }
}

TEST(WindowTest, TorchOptimizerStepsAsOnTheWholeBatch) {
  Regression split_task;
  Regression whole_task;
  torch::optim::SGD split_sgd(
      split_task.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  torch::optim::SGD whole_sgd(
      whole_task.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  Window window(split_task.parameters());
  for (int step = 0; step < 3; ++step) {
    for (Range rows : split_range(12, 5)) {
      window.add(split_task.loss(rows));
    }
    window.commit(split_sgd);
    whole_sgd.zero_grad();
    LossSum loss = whole_task.loss({0, 12});
    (loss.sum / loss.weight.value).backward();
    whole_sgd.step();
  }
  for (size_t i = 0; i < split_task.parameters().size(); ++i) {
    expect_near(
        split_task.parameters()[i],
        whole_task.parameters()[i],
        1e-10,
        "parameter");
  }
}

TEST(WindowTest, ClipsTheDividedGradientOnceAndReportsTheNormBefore) {
  Regression task;
  auto plain = gradients(task, 12);
  double squares = 0;
  for (const at::Tensor& gradient : plain) {
    squares += gradient.pow(2).sum().item<double>();
  }
  double norm = std::sqrt(squares);
  Window window(task.parameters());
  for (Range rows : split_range(12, 5)) {
    window.add(task.loss(rows));
  }
  StepReport report = window.normalize({.clip_norm = norm / 2});
  EXPECT_NEAR(report.grad_norm, norm, 1e-12 * norm);
  double factor = norm / 2 / (norm + 1e-6); // torch's clip_grad_norm_
  for (size_t i = 0; i < plain.size(); ++i) {
    expect_near(window.gradients()[i], plain[i] * factor, 1e-12, "clipped");
  }
}

TEST(WindowTest, Bf16ParametersAreSummedInFp32) {
  at::Tensor parameter = torch::zeros({1}, torch::kBFloat16).requires_grad_();
  Window window({parameter});
  // 1 + 512 · 2⁻¹⁰ = 1.5; in bf16 every one of the small terms would be lost.
  window.add({.sum = parameter.sum(), .weight = 1});
  for (int i = 0; i < 512; ++i) {
    window.add({.sum = parameter.sum() * 0x1p-10, .weight = 0x1p-10});
  }
  EXPECT_EQ(window.gradients()[0].scalar_type(), at::kFloat);
  EXPECT_EQ(window.gradients()[0].item<double>(), 1.5);
  EXPECT_EQ(window.normalize().weight, 1.5);
  EXPECT_EQ(window.gradients()[0].item<double>(), 1.0);
}

TEST(WindowTest, Bf16ParametersStepWithBothKindsOfOptimizer) {
  at::Tensor parameter = torch::zeros({2}, torch::kBFloat16).requires_grad_();
  Window window({parameter});
  torch::optim::SGD torch_sgd({parameter}, torch::optim::SGDOptions(1));
  window.add({.sum = parameter.sum() * 3, .weight = 2});
  window.commit(torch_sgd);
  EXPECT_EQ(parameter[0].item<double>(), -1.5);
  Sgd sgd({parameter}, {.lr = 0x1p-12, .momentum = 0});
  for (int i = 0; i < 256; ++i) { // each too small for bf16 on its own
    window.add({.sum = parameter.sum(), .weight = 1});
    window.commit(sgd);
  }
  EXPECT_EQ(parameter[0].item<double>(), -1.5625);
}

TEST(WindowTest, FrozenParametersAreLeftOut) {
  at::Tensor frozen = torch::ones({2});
  at::Tensor trained = torch::ones({2}).requires_grad_();
  Window window({frozen, trained});
  ASSERT_EQ(window.parameters().size(), 2U);
  window.add({.sum = (frozen * trained).sum(), .weight = 1});
  window.normalize();
  EXPECT_FALSE(window.gradients()[0].defined());
  EXPECT_FALSE(frozen.grad().defined());
  expect_contains(
      message_of<Error>([&] { Window({frozen}); }), "Nothing can be trained");
  expect_contains(
      message_of<Error>([&] {
        Window({trained, frozen, trained});
      }),
      "parameter 2 is in the list twice");
}

TEST(WindowTest, MisuseIsRefused) {
  Regression task;
  Window window(task.parameters());
  torch::optim::SGD sgd(task.parameters(), torch::optim::SGDOptions(1));
  auto commit = [&] { window.commit(sgd); };
  auto add = [&](LossSum loss) { return [&, loss] { window.add(loss); }; };
  LossSum good = task.loss({0, 12});
  expect_contains(message_of<Error>(commit), "without add()");
  expect_contains(
      message_of<Error>(add({.sum = torch::ones({2}), .weight = 1})),
      "must have one element");
  expect_contains(message_of<Error>(commit), "after an error");
  expect_contains(message_of<Error>(add(good)), "add() after an error");
  window.begin();
  expect_contains(
      message_of<Error>(add({.sum = good.sum, .weight = -1})), ">= 0");
  window.begin();
  expect_contains(
      message_of<Error>(add({.sum = good.sum, .weight = NAN})), ">= 0");
  window.begin();
  window.add({.sum = good.sum, .weight = 0});
  expect_contains(message_of<Error>(commit), "weight 0 has the loss sum");
  window.begin();
  expect_contains(
      message_of<Error>(add({.sum = good.sum.detach(), .weight = 1})),
      "no graph");
  window.begin();
  window.add({.sum = good.sum * 0, .weight = 0});
  expect_contains(message_of<Error>(commit), "total weight must be > 0, got 0");
  window.begin();
  window.add(task.loss({0, 12}));
  window.normalize();
  expect_contains(message_of<Error>(commit), "after normalize()");
  expect_contains(message_of<Error>(add(good)), "add() after normalize()");
}

TEST(WindowTest, BeginForgetsAHalfWindow) {
  Regression task;
  auto want = gradients(task, 12);
  Window window(task.parameters());
  window.add(task.loss({0, 5}));
  window.begin();
  window.add(task.loss({0, 12}));
  window.normalize();
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_TRUE(window.gradients()[i].equal(want[i]));
  }
}

TEST(NonFiniteTest, ErrorPolicyChangesNothing) {
  Regression task;
  std::vector<at::Tensor> before;
  for (const at::Tensor& parameter : task.parameters()) {
    before.push_back(parameter.detach().clone());
  }
  Window window(task.parameters());
  torch::optim::SGD sgd(task.parameters(), torch::optim::SGDOptions(1));
  window.add(task.loss({0, 6}));
  LossSum bad = task.loss({6, 12});
  window.add({.sum = bad.sum * INFINITY, .weight = bad.weight});
  expect_contains(
      message_of<NonFiniteError>([&] { window.commit(sgd); }),
      "micro-batch 2 is inf");
  EXPECT_THROW(window.commit(sgd), Error);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(task.parameters()[i].equal(before[i]));
  }
}

/// A finite loss whose gradient is not: sqrt at 0.
LossSum finite_loss_with_infinite_gradient(const at::Tensor& parameter) {
  return {.sum = (parameter * 0).sqrt().sum() + 1, .weight = 1};
}

TEST(NonFiniteTest, BadGradientIsFoundAtCommit) {
  at::Tensor parameter = torch::ones({2}).requires_grad_();
  Window window({parameter});
  Sgd sgd({parameter});
  window.add(finite_loss_with_infinite_gradient(parameter));
  expect_contains(
      message_of<NonFiniteError>([&] { window.commit(sgd); }), "parameter 0");
  EXPECT_TRUE(parameter.equal(torch::ones({2})));
}

TEST(NonFiniteTest, SkipLeavesBothSumsAndCounts) {
  Regression task;
  auto want = gradients(task, 6);
  Window window(task.parameters(), {.on_nonfinite = OnNonFinite::kSkip});
  window.add(task.loss({0, 6}));
  LossSum bad = task.loss({0, 6});
  window.add({.sum = bad.sum * NAN, .weight = bad.weight});
  window.add(finite_loss_with_infinite_gradient(task.parameters()[0]));
  window.add(task.loss({6, 12}));
  StepReport report = window.normalize();
  EXPECT_EQ(report.skipped, 2);
  EXPECT_EQ(report.micro_batches, 4);
  EXPECT_DOUBLE_EQ(report.weight, task.w.sum().item<double>());
  for (size_t i = 0; i < want.size(); ++i) {
    expect_near(window.gradients()[i], want[i], 1e-12, "gradient");
  }
}

TEST(NonFiniteTest, WindowWithEverythingSkippedMakesNoStep) {
  at::Tensor parameter = torch::ones({2}).requires_grad_();
  Window window({parameter}, {.on_nonfinite = OnNonFinite::kSkip});
  AdamW adamw({parameter});
  window.add({.sum = parameter.sum() * NAN, .weight = 2});
  StepReport report = window.commit(adamw);
  EXPECT_EQ(report.skipped, 1);
  EXPECT_TRUE(std::isnan(report.loss));
  EXPECT_EQ(adamw.steps(), 0);
  EXPECT_TRUE(parameter.equal(torch::ones({2})));
}

} // namespace
} // namespace accrue
