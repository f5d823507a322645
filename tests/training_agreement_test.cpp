// SPDX-License-Identifier: Apache-2.0
#include <torch/types.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "agreement.h"

// Losses and steps of optimizers, the portable ones against the kernels of the
// CPU.

namespace accrue::tensor {
namespace {

TEST_P(AgreementTest, CrossEntropyAndItsGradients) {
  torch::manual_seed(28);
  at::Tensor targets = torch::randint(0, 30, {13});
  at::Tensor weights = torch::rand({13}, at::kDouble);
  weights[3] = 0;
  targets[3] = -100;
  for (Type compute : kTypes) {
    const Type sum = sum_type(compute);
    Linear head{random({30, 20}, sum), {}, WeightLayout::kOutIn};
    at::Tensor x = random({13, 20}, sum);
    auto run = [&](const Backend& backend, auto&& place) {
      Linear own{place(head.weight), {}, WeightLayout::kOutIn};
      LinearGradients g{place(torch::zeros_like(head.weight))};
      std::vector<at::Tensor> results;
      for (const Chunk& chunk :
           head_chunks({kOffsets}, cut_by_sample(compute, 4))) {
        at::Tensor dx = place(torch::empty_like(chunk.of(x)));
        auto losses = [&](const at::Tensor& gradient) {
          return backend.cross_entropy(
              chunk,
              place(chunk.of(x)),
              own,
              compute,
              place(targets),
              place(weights),
              gradient,
              g);
        };
        results.push_back(losses({}));
        results.push_back(losses(dx));
        results.push_back(dx);
        EXPECT_TRUE(results[0].equal(results[1]));
        if (!checks_indices(backend)) {
          continue;
        }
        EXPECT_THROW(
            backend.cross_entropy(
                chunk,
                place(chunk.of(x)),
                own,
                compute,
                place(torch::full({13}, 30)),
                place(torch::ones({13}, at::kDouble)),
                dx,
                g),
            DataError);
      }
      if (sum == Type::kF32) { // multiples of 2⁻²⁴ add up exactly
        at::Tensor scaled = results[0] * 0x1p24;
        EXPECT_TRUE(scaled.equal(scaled.round()));
      }
      results.push_back(g.weight);
      results.push_back(backend.sum_in_order(results[0]).view(1));
      return results;
    };
    expect_agreement(run, compute);
  }
}

TEST_P(AgreementTest, StepsOfAdamW) {
  torch::manual_seed(29);
  AdamWStep step{
      .lr = 1e-2,
      .beta1 = 0.9,
      .beta2 = 0.95,
      .eps = 1e-8,
      .weight_decay = 0.1,
      .correction1 = 0.1,
      .correction2 = 0.05};
  for (Type type : {Type::kF64, Type::kF32}) {
    at::Tensor parameter = random({7, 9}, type);
    at::Tensor average = random({7, 9}, type);
    at::Tensor square = random({7, 9}, type).square();
    for (int kind = 0; kind < 3; ++kind) {
      // As it should be, of another layout, of another type.
      at::Tensor gradient = kind == 1 ? random({9, 7}, type).t()
          : kind == 2                 ? random({7, 9}, Type::kBf16)
                                      : random({7, 9}, type);
      auto run = [&](const Backend& backend, auto&& place) {
        at::Tensor p = place(parameter.clone());
        at::Tensor m = place(average.clone());
        at::Tensor v = place(square.clone());
        backend.adamw(step, place(gradient), p, m, v);
        return std::vector<at::Tensor>{p, m, v};
      };
      auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
      auto got =
          run(backend_, [&](const at::Tensor& t) { return on_device(t); });
      for (size_t i = 0; i < want.size(); ++i) {
        expect_agree(got[i], want[i], type, "state " + std::to_string(i));
      }
    }
  }
}

} // namespace
} // namespace accrue::tensor
