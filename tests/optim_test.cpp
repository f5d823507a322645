// SPDX-License-Identifier: Apache-2.0
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
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

TEST(AdamWTest, ParameterWithoutGradientIsLeftAloneAsByLibTorch) {
  torch::manual_seed(4);
  std::vector<at::Tensor> ours, theirs, resumed;
  for (int i = 0; i < 3; ++i) {
    ours.push_back(torch::randn({3, 2}, torch::kDouble).requires_grad_());
    theirs.push_back(ours.back().detach().clone().requires_grad_());
  }
  ours[2].requires_grad_(false); // until its first gradient
  AdamW adamw(ours, {.lr = 0.1, .weight_decay = 0.3});
  EXPECT_FALSE(adamw.state().contains("2.exp_avg"));
  torch::optim::AdamW reference(
      theirs, torch::optim::AdamWOptions(0.1).weight_decay(0.3));
  auto gradients = [&](int step) {
    std::vector<at::Tensor> list;
    for (int i = 0; i < 3; ++i) {
      list.push_back(torch::randn({3, 2}, torch::kDouble));
      if (step % (i + 1) != i) {
        list.back().reset();
      }
      theirs[static_cast<size_t>(i)].mutable_grad() = list.back();
    }
    reference.step();
    return list;
  };
  for (int step = 0; step < 6; ++step) {
    adamw.step(gradients(step));
  }
  for (const at::Tensor& tensor : ours) {
    resumed.push_back(tensor.detach().clone().requires_grad_());
  }
  AdamW second(resumed, {.lr = 0.1, .weight_decay = 0.3});
  copy_tensors(adamw.state(), second.state());
  second.set_steps(adamw.steps());
  for (int step = 6; step < 12; ++step) {
    second.step(gradients(step));
  }
  for (size_t i = 0; i < ours.size(); ++i) {
    expect_near(resumed[i], theirs[i], 1e-12, std::to_string(i));
  }
}

TEST(AdamWTest, SliceOfATensorIsUpdatedAloneAsByLibTorch) {
  torch::manual_seed(5);
  at::Tensor whole = torch::randn({4, 6}, torch::kFloat);
  at::Tensor before = whole.clone();
  at::Tensor slice = whole.narrow(1, 2, 3).requires_grad_();
  at::Tensor theirs = slice.detach().clone().requires_grad_();
  AdamW adamw({slice}, {.lr = 0.1, .weight_decay = 0.3});
  torch::optim::AdamW reference(
      {theirs}, torch::optim::AdamWOptions(0.1).weight_decay(0.3));
  for (int step = 0; step < 4; ++step) {
    at::Tensor gradient = torch::randn({4, 3});
    theirs.mutable_grad() = gradient;
    adamw.step(std::array{gradient});
    reference.step();
  }
  expect_near(slice.detach(), theirs.detach(), 1e-6, "slice");
  EXPECT_TRUE(whole.narrow(1, 0, 2).equal(before.narrow(1, 0, 2)));
  EXPECT_TRUE(whole.narrow(1, 5, 1).equal(before.narrow(1, 5, 1)));
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

/// 2⁻¹² off per step: up to 8 of them are nothing to a bf16 of 1.
class MasterTest : public ::testing::Test {
 protected:
  at::Tensor x = torch::ones({2}, torch::kBFloat16).requires_grad_();
  Sgd sgd{{x}, {.lr = 0x1p-12, .momentum = 0}};

  static void steps(Sgd& sgd, int count) {
    for (int i = 0; i < count; ++i) {
      sgd.step(std::array{torch::ones({2})});
    }
  }
  static void load(const at::Tensor& x, const at::Tensor& values) {
    torch::NoGradGuard no_grad;
    x.copy_(values);
  }
  void expect(double first, double second) const {
    EXPECT_EQ(x[0].item<double>(), first);
    EXPECT_EQ(x[1].item<double>(), second);
  }
};

TEST_F(MasterTest, LoadedWeightsReplaceItWhereTheyDiffer) {
  steps(sgd, 8);
  expect(1, 1);
  load(x, torch::tensor({0.5F, 1.F}));
  steps(sgd, 1); // the one starts anew, the other's digits have stayed
  expect(0.5, 1 - 0x1p-8);
  x.set_data(torch::full({2}, 2, torch::kBFloat16));
  steps(sgd, 1);
  expect(2, 2);
}

TEST_F(MasterTest, WeightsThatAreOnlyRewrittenKeepItsDigits) {
  for (int i = 0; i < 9; ++i) {
    steps(sgd, 1);
    load(x, x.detach().clone());
  }
  expect(1 - 0x1p-8, 1 - 0x1p-8);
}

TEST_F(MasterTest, ControlOneTakenFromTheParameterEveryStepStays) {
  for (int i = 0; i < 9; ++i) {
    Sgd fresh({x}, {.lr = 0x1p-12, .momentum = 0});
    steps(fresh, 1);
  }
  expect(1, 1);
}

TEST_F(MasterTest, ResumedWithItsParameterItGoesOn) {
  steps(sgd, 8);
  for (bool parameter_first : {true, false}) {
    at::Tensor y = torch::zeros({2}, torch::kBFloat16).requires_grad_();
    Sgd second({y}, {.lr = 0x1p-12, .momentum = 0});
    if (parameter_first) {
      load(y, x);
    }
    copy_tensors(sgd.state(), second.state());
    if (!parameter_first) {
      load(y, x);
    }
    steps(second, 1);
    EXPECT_EQ(y[0].item<double>(), 1 - 0x1p-8);
  }
}

TEST(OptimizerTest, GivenOtherMemoryItStepsThere) {
  torch::manual_seed(6);
  at::Tensor ours = torch::randn({3, 2}).requires_grad_();
  at::Tensor theirs = ours.detach().clone().requires_grad_();
  Sgd sgd({ours}, {.lr = 0.25, .momentum = 0.5});
  torch::optim::SGD reference(
      {theirs}, torch::optim::SGDOptions(0.25).momentum(0.5));
  for (int step = 0; step < 4; ++step) {
    if (step == 2) {
      at::Tensor loaded = torch::randn({3, 2});
      ours.set_data(loaded.clone());
      theirs.set_data(loaded);
    }
    theirs.mutable_grad() = torch::randn({3, 2});
    sgd.step(std::array{theirs.grad()});
    reference.step();
    expect_near(ours, theirs, 1e-6, "parameter");
  }
}

TEST(OptimizerTest, MovedReshapedAndTiedParametersAreRefused) {
  at::Tensor a = torch::ones({2, 2}).requires_grad_();
  at::Tensor b = torch::ones({2, 2}).requires_grad_();
  AdamW adamw({a, b});
  std::array gradients{torch::ones({2, 2}), torch::ones({2, 2})};
  auto step = [&] { adamw.step(gradients); };
  for (const at::Tensor& other :
       {torch::zeros({2, 2}, torch::kDouble), torch::zeros({2, 2}).t()}) {
    b.set_data(other);
    expect_contains(message_of<Error>(step), "parameter 1 has another shape");
  }
  b.set_data(a.detach());
  expect_contains(message_of<Error>(step), "parameter 1 was tied to another");
  b.set_data(torch::ones({2, 2}));
  gradients[1] = torch::ones({4});
  expect_contains(message_of<Error>(step), "gradient 1 has the shape [4]");
  EXPECT_TRUE(a.equal(torch::ones({2, 2})));
  EXPECT_EQ(adamw.steps(), 0);
}

TEST(OptimizerTest, ParametersOfInferenceModeCountNoWrites) {
  c10::InferenceMode inference;
  at::Tensor x = torch::ones({2}, torch::kBFloat16);
  Sgd sgd({x}, {.lr = 0.25, .momentum = 0});
  sgd.step(std::array{torch::ones({2})});
  EXPECT_EQ(x[0].item<double>(), 0.75);
  x.fill_(2);
  sgd.step(std::array{torch::ones({2})});
  EXPECT_EQ(x[0].item<double>(), 1.75);
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
