// SPDX-License-Identifier: Apache-2.0
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cmath>

#include "accrue/core/error.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"
#include "regression.h"
#include "support.h"

// Changes of parameters and gradients outside of a window.

namespace accrue {
namespace {

using testing::expect_contains;
using testing::expect_near;
using testing::gradients;
using testing::max_relative_error;
using testing::message_of;
using testing::Regression;

/// Trains two weights, the second of which is not always trained.
class PartlyTrained {
 public:
  enum class How { kUnused, kFrozen };

  explicit PartlyTrained(How how, at::ScalarType dtype = at::kDouble)
      : how_(how) {
    torch::manual_seed(2);
    a = torch::randn({3, 2}).to(dtype).requires_grad_();
    b = torch::randn({3, 2}).to(dtype);
    b.requires_grad_(how == How::kUnused);
    for (int i = 0; i < 6; ++i) {
      x_.push_back(torch::randn({4, 3}).to(dtype));
    }
  }

  at::Tensor a, b;

  /// Trained at first, and every third step.
  LossSum loss(size_t step, Range rows) {
    at::Tensor x = x_[step].slice(0, rows.begin, rows.end);
    const bool trains = step % 3 == 1;
    at::Tensor sum = x.matmul(a).pow(2).sum();
    if (trains || how_ == How::kFrozen) {
      sum = sum + x.matmul(b).pow(2).sum();
    }
    return {.sum = sum, .weight = rows.size()};
  }

  /// The oracle; with `to_none` false the control.
  template <class Reference>
  PartlyTrained big_batches(Reference make, bool to_none = true) {
    auto optimizer = make(std::vector{a, b});
    for (size_t step = 0; step < x_.size(); ++step) {
      freeze(step);
      optimizer.zero_grad(to_none);
      (loss(step, {0, 4}).sum / 4).backward();
      optimizer.step();
    }
    return *this;
  }

  template <class Make>
  PartlyTrained windows(Make make) {
    auto optimizer = make(std::vector{a, b});
    Window window({a, b});
    for (size_t step = 0; step < x_.size(); ++step) {
      freeze(step);
      for (Range rows : split_range(4, 3)) {
        window.add(loss(step, rows));
      }
      window.commit(optimizer);
    }
    return *this;
  }

 private:
  void freeze(size_t step) {
    b.requires_grad_(how_ == How::kUnused || step % 3 == 1);
  }

  How how_;
  std::vector<at::Tensor> x_;
};

using How = PartlyTrained::How;
using Parameters = std::vector<at::Tensor>;

torch::optim::AdamW torch_adamw(const Parameters& parameters) {
  return torch::optim::AdamW(
      parameters, torch::optim::AdamWOptions(0.1).weight_decay(0.3));
}

torch::optim::SGD torch_sgd(const Parameters& parameters) {
  return torch::optim::SGD(
      parameters,
      torch::optim::SGDOptions(0.01).momentum(0.9).weight_decay(0.3));
}

AdamW our_adamw(const Parameters& parameters) {
  return AdamW(parameters, {.lr = 0.1, .weight_decay = 0.3});
}

Sgd our_sgd(const Parameters& parameters) {
  return Sgd(parameters, {.lr = 0.01, .momentum = 0.9, .weight_decay = 0.3});
}

TEST(PartlyTrainedTest, ParametersWithoutGradientAreLeftAloneAsByBigBatches) {
  for (How how : {How::kUnused, How::kFrozen}) {
    auto expect_same = [](const PartlyTrained& got, const PartlyTrained& want) {
      expect_near(got.a, want.a, 1e-12, "a");
      expect_near(got.b, want.b, 1e-12, "b");
    };
    PartlyTrained adamw = PartlyTrained(how).big_batches(torch_adamw);
    expect_same(PartlyTrained(how).windows(torch_adamw), adamw);
    expect_same(PartlyTrained(how).windows(our_adamw), adamw);
    PartlyTrained sgd = PartlyTrained(how).big_batches(torch_sgd);
    expect_same(PartlyTrained(how).windows(torch_sgd), sgd);
    expect_same(PartlyTrained(how).windows(our_sgd), sgd);
  }
}

TEST(PartlyTrainedTest, ControlGradientsOfZerosFailTheGate) {
  at::Tensor want = PartlyTrained(How::kUnused).big_batches(torch_adamw).b;
  at::Tensor zeros =
      PartlyTrained(How::kUnused).big_batches(torch_adamw, false).b;
  EXPECT_GT(max_relative_error(zeros, want), 1e-2);
}

TEST(PartlyTrainedTest, Bf16WithoutGradientIsLeftAlone) {
  PartlyTrained task(How::kUnused, at::kBFloat16);
  at::Tensor before = task.b.detach().clone();
  Window window({task.a, task.b});
  auto step = [&](size_t index, auto optimizer) {
    window.add(task.loss(index, {0, 4}));
    window.commit(optimizer);
    return task.b.equal(before);
  };
  EXPECT_TRUE(step(0, torch_sgd({task.a, task.b})));
  EXPECT_TRUE(step(0, our_sgd({task.a, task.b})));
  EXPECT_FALSE(step(1, torch_sgd({task.a, task.b})));
}

TEST(PartlyTrainedTest, WhatIsSkippedIsNoGradient) {
  PartlyTrained task(How::kUnused);
  Window window({task.a, task.b}, {.on_nonfinite = OnNonFinite::kSkip});
  torch::optim::AdamW optimizer = torch_adamw({task.a, task.b});
  window.add(task.loss(1, {0, 4})); // has a momentum and a last good copy
  window.commit(optimizer);
  at::Tensor before = task.b.detach().clone();
  window.add(task.loss(0, {0, 2}));
  LossSum bad = task.loss(1, {2, 4});
  EXPECT_FALSE(window.add({.sum = bad.sum * NAN, .weight = 2}));
  EXPECT_FALSE(window.add(
      {.sum = (task.b * 0).sqrt().sum() + 1, .weight = 1})); // infinite
  window.add(task.loss(0, {2, 4}));
  EXPECT_EQ(window.commit(optimizer).skipped, 2);
  EXPECT_TRUE(task.b.equal(before));
}

TEST(WindowTest, FreezingInsideOfItIsRefused) {
  PartlyTrained task(How::kUnused);
  Window window({task.a, task.b});
  window.add(task.loss(1, {0, 2}));
  task.b.requires_grad_(false);
  expect_contains(
      message_of<Error>([&] { window.normalize(); }),
      "parameter 1 was frozen, unfrozen or moved");
  window.begin();
  window.add(task.loss(0, {0, 2}));
  task.b.requires_grad_();
  expect_contains(
      message_of<Error>([&] {
        window.add(task.loss(1, {0, 2}));
      }),
      "Do that between windows");
}

TEST(WindowTest, ForeignOptimizersAreRefused) {
  PartlyTrained task(How::kUnused);
  at::Tensor other = torch::ones({3, 2}, torch::kDouble).requires_grad_();
  at::Tensor before = task.a.detach().clone();
  Window window({task.a, task.b});
  auto refused = [&](auto optimizer) {
    window.begin();
    window.add(task.loss(1, {0, 4}));
    return message_of<Error>([&] { window.commit(optimizer); });
  };
  expect_contains(refused(our_sgd({task.a, other})), "parameter 1 of the opt");
  expect_contains(refused(torch_sgd({task.b, other})), "none of the window");
  expect_contains(refused(our_sgd({task.a})), "parameter 1 has a gradient");
  expect_contains(refused(torch_sgd({task.b})), "parameter 0 has a gradient");
  EXPECT_TRUE(task.a.equal(before));
  window.begin();
  window.add(task.loss(1, {0, 4}));
  Sgd reversed = our_sgd({task.b, task.a}); // its order is its own matter
  window.commit(reversed);
  PartlyTrained same(How::kUnused);
  Window ordered({same.a, same.b});
  Sgd sgd = our_sgd({same.a, same.b});
  ordered.add(same.loss(1, {0, 4}));
  ordered.commit(sgd);
  EXPECT_TRUE(task.a.equal(same.a));
  EXPECT_TRUE(task.b.equal(same.b));
}

TEST(GradientTest, ZeroGradBeforeTheFirstAddIsFine) {
  Regression task;
  auto want = gradients(task, 5);
  torch::optim::SGD sgd(task.parameters(), torch::optim::SGDOptions(0.));
  Window window(task.parameters());
  const void* memory = task.parameters()[0].grad().const_data_ptr();
  for (bool to_none : {true, false}) {
    sgd.zero_grad(to_none);
    for (Range rows : split_range(12, 5)) {
      window.add(task.loss(rows));
    }
    EXPECT_EQ(task.parameters()[0].grad().const_data_ptr(), memory);
    window.normalize();
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(window.gradients()[i].equal(want[i]));
    }
    window.begin();
  }
}

TEST(GradientTest, ChangesByOthersAreRefused) {
  Regression task;
  Window window(task.parameters());
  torch::optim::SGD sgd(task.parameters(), torch::optim::SGDOptions(1));
  auto refused = [&](auto change, bool after_add) {
    window.begin();
    if (after_add) {
      window.add(task.loss({0, 5}));
    }
    change();
    expect_contains(
        message_of<Error>([&] {
          window.add(task.loss({5, 12}));
        }),
        "parameter 0 was changed by others");
    window.begin();
    window.add(task.loss({0, 12}));
    change();
    expect_contains(
        message_of<Error>([&] { window.commit(sgd); }), "call begin()");
  };
  refused([&] { sgd.zero_grad(); }, true);
  refused([&] { sgd.zero_grad(false); }, true);
  for (bool after_add : {true, false}) {
    refused([&] { task.loss({0, 3}).sum.backward(); }, after_add);
    refused([&] { task.parameters()[0].mutable_grad().add_(1); }, after_add);
  }
  at::Tensor low = torch::ones({1}, torch::kBFloat16).requires_grad_();
  Window low_window({low});
  low.sum().backward();
  expect_contains(
      message_of<Error>(
          [&] { low_window.add({.sum = low.sum(), .weight = 1}); }),
      "parameter 0 was changed by others");
}

TEST(MovedTest, ModelInAnotherDtypeSumsInIt) {
  for (at::ScalarType first : {at::kFloat, at::kBFloat16}) {
    Regression moved(12, first);
    Regression task; // the same numbers in fp64
    Window window(moved.parameters());
    window.add({.sum = moved.model->forward(moved.x).sum(), .weight = 1});
    window.normalize();
    window.begin();
    moved.model->to(at::kDouble);
    for (size_t i = 0; i < task.parameters().size(); ++i) {
      moved.parameters()[i].set_data(task.parameters()[i].detach().clone());
    }
    for (Range rows : split_range(12, 5)) {
      moved.x = task.x, moved.y = task.y, moved.w = task.w;
      window.add(moved.loss(rows));
    }
    window.normalize();
    auto want = gradients(task, 12);
    for (size_t i = 0; i < want.size(); ++i) {
      expect_near(window.gradients()[i], want[i], 1e-12, "gradient");
    }
    window.begin();
    window.add(moved.loss({0, 5}));
    moved.model->to(first);
    expect_contains(
        message_of<Error>([&] { window.normalize(); }), "parameter 0 was");
  }
}

TEST(MovedTest, UntiedParametersAreTwo) {
  at::Tensor a = torch::ones({2}).requires_grad_();
  at::Tensor b = a.detach().requires_grad_();
  Window window({a, b});
  Sgd sgd({a, b}, {.lr = 1, .momentum = 0});
  b.set_data(torch::zeros({2}));
  auto add = [&] {
    window.add({.sum = (a * 3).sum() + (b * 4).sum(), .weight = 1});
  };
  add();
  expect_contains(
      message_of<Error>([&] { window.commit(sgd); }),
      "parameter 1 has a gradient");
  window.begin();
  add();
  torch::optim::SGD torch_sgd({a, b}, torch::optim::SGDOptions(1));
  window.commit(torch_sgd);
  EXPECT_TRUE(a.equal(torch::full({2}, -2.0)));
  EXPECT_TRUE(b.equal(torch::full({2}, -4.0)));
  b.set_data(a.detach()); // tied again: -2 - 7, once
  add();
  window.commit(torch_sgd);
  EXPECT_TRUE(a.equal(torch::full({2}, -9.0)));
}

} // namespace
} // namespace accrue
