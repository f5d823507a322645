#include <torch/optim/adamw.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "accrue/optim/optimizer.h"
#include "accrue/optim/schedule.h"
#include "support.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::expect_near;
using testing::message_of;

TEST(AdamWTest, StepsAsLibTorchDoes) {
  torch::manual_seed(1);
  at::Tensor ours = torch::randn({4, 3}, torch::kDouble).requires_grad_();
  at::Tensor theirs = ours.detach().clone().requires_grad_();
  AdamW adamw(
      {ours},
      {.lr = 1e-2,
       .beta1 = 0.8,
       .beta2 = 0.9,
       .eps = 1e-6,
       .weight_decay = 0.3});
  torch::optim::AdamW reference(
      {theirs},
      torch::optim::AdamWOptions(1e-2)
          .betas({0.8, 0.9})
          .eps(1e-6)
          .weight_decay(0.3));
  for (int step = 0; step < 10; ++step) {
    at::Tensor gradient = torch::randn({4, 3}, torch::kDouble);
    adamw.step(std::array{gradient});
    theirs.mutable_grad() = gradient;
    reference.step();
    expect_near(ours, theirs, 1e-12, "parameter");
  }
  EXPECT_EQ(adamw.steps(), 10);
}

TEST(AdamWTest, VectorsAreNotDecayedUnlessAsked) {
  for (bool decay_vectors : {false, true}) {
    at::Tensor vector = torch::ones({3}).requires_grad_();
    at::Tensor matrix = torch::ones({3, 3}).requires_grad_();
    AdamW adamw(
        {vector, matrix},
        {.lr = 0.5, .weight_decay = 0.5, .decay_vectors = decay_vectors});
    adamw.step(std::array{torch::zeros({3}), torch::zeros({3, 3})});
    EXPECT_EQ(vector[0].item<double>(), decay_vectors ? 0.75 : 1.0);
    EXPECT_EQ(matrix[0][0].item<double>(), 0.75);
  }
}

TEST(AdamWTest, ParameterWithoutGradientIsLeftAlone) {
  at::Tensor a = torch::ones({2, 2}).requires_grad_();
  at::Tensor b = torch::ones({2, 2}).requires_grad_();
  AdamW adamw({a, b}, {.weight_decay = 1});
  adamw.step(std::array{at::Tensor(), torch::ones({2, 2})});
  EXPECT_TRUE(a.equal(torch::ones({2, 2})));
  EXPECT_FALSE(b.equal(torch::ones({2, 2})));
}

TEST(SgdTest, MomentumClosedForm) {
  at::Tensor x = torch::zeros({1}, torch::kDouble).requires_grad_();
  Sgd sgd({x}, {.lr = 0.1, .momentum = 0.5});
  double velocity = 0;
  double want = 0;
  for (int step = 0; step < 5; ++step) {
    sgd.step(std::array{torch::ones({1}, torch::kDouble)});
    velocity = 0.5 * velocity + 1;
    want -= 0.1 * velocity;
    EXPECT_NEAR(x.item<double>(), want, 1e-15);
  }
}

TEST(OptimizerTest, StateRoundTripContinuesExactly) {
  torch::manual_seed(2);
  at::Tensor a = torch::randn({3, 2}).requires_grad_();
  AdamW first({a});
  std::vector<at::Tensor> gradients;
  for (int i = 0; i < 4; ++i) {
    gradients.push_back(torch::randn({3, 2}));
  }
  first.step(std::array{gradients[0]});
  first.step(std::array{gradients[1]});
  at::Tensor b = a.detach().clone().requires_grad_();
  AdamW second({b}, {.lr = 5}); // a differently constructed object
  copy_tensors(first.state(), second.state());
  second.set_steps(first.steps());
  second.set_learning_rate(first.learning_rate());
  for (int i = 2; i < 4; ++i) {
    first.step(std::array{gradients[static_cast<size_t>(i)]});
    second.step(std::array{gradients[static_cast<size_t>(i)]});
  }
  EXPECT_TRUE(a.equal(b));
}

TEST(OptimizerTest, ForeignStateAndGradientsAreRefused) {
  at::Tensor a = torch::ones({3}).requires_grad_();
  AdamW adamw({a});
  auto state = adamw.state();
  state["0.exp_avg"] = torch::ones({4});
  expect_contains(
      message_of<DataError>([&] { copy_tensors(state, adamw.state()); }),
      "\"0.exp_avg\"");
  EXPECT_EQ(adamw.steps(), 0);
  expect_contains(
      message_of<Error>([&] { adamw.step({}); }), "0 gradients for 1");
}

TEST(ScheduleTest, ClosedFormsAtEveryStep) {
  Schedule s{.lr = 2, .min_lr = 0.5, .warmup_steps = 4, .total_steps = 24};
  for (int64_t step = 0; step < 30; ++step) {
    double progress = std::min(1.0, static_cast<double>(step - 4) / 20);
    double cosine =
        0.5 + 1.5 * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    double wsd = 0.5 + 1.5 * std::min(1.0, (1 - progress) / 0.2);
    double warmup = 2.0 * static_cast<double>(step) / 4;
    auto at = [&](ScheduleKind kind) {
      s.kind = kind;
      return s.at(step);
    };
    bool warm = step >= 4;
    EXPECT_DOUBLE_EQ(at(ScheduleKind::kConstant), warm ? 2 : warmup);
    EXPECT_DOUBLE_EQ(at(ScheduleKind::kCosine), warm ? cosine : warmup);
    EXPECT_DOUBLE_EQ(
        at(ScheduleKind::kLinear), warm ? 2 - 1.5 * progress : warmup);
    EXPECT_DOUBLE_EQ(at(ScheduleKind::kWsd), warm ? wsd : warmup);
  }
}

} // namespace
} // namespace accrue
