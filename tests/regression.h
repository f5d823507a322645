// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <vector>

#include "accrue/window/split.h"
#include "accrue/window/window.h"

namespace accrue::testing {

/// A regression whose rows have weights, some of them 0.
struct Regression {
  // Before the weights are drawn.
  bool seeded = (torch::manual_seed(5), true);
  torch::nn::Sequential model{
      torch::nn::Linear(5, 7),
      torch::nn::Tanh(),
      torch::nn::Linear(7, 3)};
  at::Tensor x, y, w;

  explicit Regression(int64_t rows = 12, at::ScalarType dtype = at::kDouble) {
    model->to(dtype);
    x = torch::randn({rows, 5}, dtype);
    y = torch::randn({rows, 3}, dtype);
    w = torch::rand({rows}, torch::kDouble) * 3;
    w.index_put_({torch::rand({rows}) < 0.3}, 0);
    w[0] = 1;
  }

  LossSum loss(Range rows) {
    auto part = [&](const at::Tensor& t) {
      return t.slice(0, rows.begin, rows.end);
    };
    at::Tensor error = (model->forward(part(x)) - part(y)).pow(2).sum(1);
    return {
        .sum = (error * part(w).to(error.dtype())).sum(),
        .weight = part(w).sum().item<double>()};
  }

  std::vector<at::Tensor> parameters() {
    return model->parameters();
  }
};

inline std::vector<at::Tensor> gradients(
    Regression& task,
    int64_t micro_batch,
    StepReport* report = nullptr) {
  Window window(task.parameters());
  for (Range rows : split_range(task.x.size(0), micro_batch)) {
    window.add(task.loss(rows));
  }
  StepReport done = window.normalize();
  if (report != nullptr) {
    *report = done;
  }
  std::vector<at::Tensor> copies;
  for (const at::Tensor& gradient : window.gradients()) {
    copies.push_back(gradient.clone());
  }
  return copies;
}

} // namespace accrue::testing
