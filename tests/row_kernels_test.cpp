// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "accrue/core/random.h"
#include "instruction_sets.h"
#include "support.h"
#include "tensor/ops.h"

// Kernels that work row by row, of every instruction set that this CPU has.

namespace accrue::tensor {
namespace {

using accrue::testing::expect_near;

class RowKernelTest : public KernelTest {};

INSTANTIATE_TEST_SUITE_P(
    Sets,
    RowKernelTest,
    ::testing::ValuesIn(instruction_sets()),
    isa_name);

TEST_P(RowKernelTest, NormsAgreeWithLibTorchWhateverTheOtherRows) {
  torch::manual_seed(11);
  constexpr int64_t kRows = 21;
  constexpr int64_t kWidth = 100;
  for (bool layer_norm : {true, false}) {
    at::Tensor x = torch::randn({kRows, kWidth}) * 3 + 1;
    at::Tensor weight = torch::randn({kWidth});
    at::Tensor bias = torch::randn({kWidth});
    at::Tensor dy = torch::randn({kRows, kWidth});
    at::Tensor wide_x = x.to(at::kDouble).requires_grad_();
    at::Tensor wide_weight = weight.to(at::kDouble).requires_grad_();
    at::Tensor wide_bias = bias.to(at::kDouble).requires_grad_();
    at::Tensor want = layer_norm
        ? at::layer_norm(wide_x, {kWidth}, wide_weight, wide_bias, 1e-5)
        : wide_weight * wide_x * (wide_x.square().mean(1, true) + 1e-5).rsqrt();
    want.backward(dy.to(at::kDouble));
    at::Tensor mean = torch::empty({kRows});
    at::Tensor rstd = torch::empty({kRows});
    auto rows_of = [&](int64_t row, int64_t count) {
      return NormRows{
          .rows = count,
          .width = kWidth,
          .x = x[row].const_data_ptr(),
          .weight = weight.const_data_ptr(),
          .bias = layer_norm ? bias.const_data_ptr() : nullptr,
          .epsilon = 1e-5,
          .mean = mean[row].mutable_data_ptr(),
          .rstd = rstd[row].mutable_data_ptr()};
    };
    at::Tensor y = torch::empty_like(x);
    k_.norm(rows_of(0, kRows), y.mutable_data_ptr());
    expect_near(y.to(at::kDouble), want.detach(), 1e-6, "norm");
    at::Tensor dx = torch::ones_like(x);
    at::Tensor sums = torch::empty({2, kWidth});
    k_.norm_backward(
        rows_of(0, kRows),
        dy.const_data_ptr(),
        dx.mutable_data_ptr(),
        sums.mutable_data_ptr());
    expect_near(dx.to(at::kDouble) - 1, wide_x.grad(), 2e-6, "dx");
    expect_near(sums[0].to(at::kDouble), wide_weight.grad(), 2e-6, "dweight");
    if (layer_norm) {
      expect_near(sums[1].to(at::kDouble), wide_bias.grad(), 2e-6, "dbias");
    }
    for (int64_t i = 0; i < kRows; ++i) {
      at::Tensor alone = torch::empty({kWidth});
      k_.norm(rows_of(i, 1), alone.mutable_data_ptr());
      EXPECT_TRUE(alone.equal(y[i])) << i;
      at::Tensor dalone = torch::ones({kWidth});
      k_.norm_backward(
          rows_of(i, 1),
          dy[i].const_data_ptr(),
          dalone.mutable_data_ptr(),
          sums.mutable_data_ptr());
      EXPECT_TRUE(dalone.equal(dx[i])) << i;
    }
  }
}

TEST_P(RowKernelTest, SoftmaxOfCausalRowsAndItsGradient) {
  torch::manual_seed(12);
  constexpr int64_t kRows = 7;
  constexpr int64_t kColumns = 50;
  constexpr double kScale = 0.125;
  at::Tensor scores = torch::randn({kRows, kColumns}) * 20;
  at::Tensor dp = torch::randn({kRows, kColumns});
  at::Tensor p = scores.clone();
  at::Tensor sums = torch::empty({kRows});
  ScoreRows rows{
      .rows = kRows,
      .columns = kColumns,
      .stride = kColumns,
      .length = 30,
      .scale = kScale,
      .scores = p.mutable_data_ptr(),
      .logsumexp = sums.mutable_data_ptr()};
  k_.softmax(rows);
  at::Tensor again = scores.clone();
  at::Tensor got = dp.clone();
  at::Tensor delta = (p * dp).sum(1);
  rows.scores = again.mutable_data_ptr();
  k_.softmax_backward(rows, delta.const_data_ptr(), got.mutable_data_ptr());
  for (int64_t i = 0; i < kRows; ++i) {
    at::Tensor wide =
        scores[i].narrow(0, 0, 30 + i).to(at::kDouble).requires_grad_();
    at::Tensor want = at::softmax(wide * kScale, 0);
    want.backward(dp[i].narrow(0, 0, 30 + i).to(at::kDouble));
    at::Tensor zeros = torch::zeros({kColumns - 30 - i}, at::kDouble);
    at::Tensor row = torch::cat({want.detach(), zeros});
    expect_near(p[i].to(at::kDouble), row, 2e-6, "probabilities");
    expect_near(again[i].to(at::kDouble), row, 4e-6, "once more");
    at::Tensor gradient = torch::cat({wide.grad(), zeros});
    expect_near(got[i].to(at::kDouble), gradient, 4e-6, "gradient");
    double want_sum = at::logsumexp(wide * kScale, 0).item<double>();
    EXPECT_NEAR(sums[i].item<double>(), want_sum, 1e-5);
  }
}

TEST_P(RowKernelTest, RotationsTurnPairsByTheAngleOfTheirPosition) {
  torch::manual_seed(13);
  constexpr int64_t kHeads = 3;
  constexpr int64_t kDim = 20;
  constexpr int64_t kHalf = kDim / 2;
  at::Tensor x = torch::randn({4, kHeads * kDim});
  at::Tensor angles = torch::rand({9, kHalf}) * 6;
  at::Tensor cos = angles.cos();
  at::Tensor sin = angles.sin();
  std::vector<int64_t> positions = {0, 8, 3, 3};
  auto rotate = [&](const at::Tensor& y, bool inverse) {
    k_.rotate(
        {.rows = 4,
         .heads = kHeads,
         .dim = kDim,
         .stride = kHeads * kDim,
         .positions = positions.data(),
         .cos = cos.const_data_ptr(),
         .sin = sin.const_data_ptr(),
         .inverse = inverse,
         .x = y.mutable_data_ptr()});
  };
  at::Tensor y = x.clone();
  rotate(y, false);
  for (int64_t i = 0; i < 4; ++i) {
    at::Tensor pairs = x[i].view({kHeads, 2, kHalf});
    at::Tensor low = pairs.select(1, 0);
    at::Tensor high = pairs.select(1, 1);
    int64_t at = positions[static_cast<size_t>(i)];
    at::Tensor want = torch::stack(
        {low * cos[at] - high * sin[at], high * cos[at] + low * sin[at]}, 1);
    expect_near(y[i], want.flatten(), 1e-6, "rotated");
  }
  rotate(y, true);
  expect_near(y, x, 1e-6, "and back");
}

TEST_P(RowKernelTest, DropoutMasksArePhiloxWords) {
  constexpr int64_t kCount = 500;
  at::Tensor x = torch::ones({kCount});
  at::Tensor y = torch::empty({kCount});
  DropoutRange range{
      .key = 0x0123456789abcdef,
      .first = 37,
      .count = kCount,
      .threshold = uint64_t{1} << 30,
      .scale = 2,
      .x = x.const_data_ptr(),
      .y = y.mutable_data_ptr()};
  k_.dropout(range);
  CounterRandom random(range.key);
  int64_t dropped = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    uint64_t element = range.first + static_cast<uint64_t>(i);
    bool keep = random.bits(element / 4)[element % 4] >= range.threshold;
    EXPECT_EQ(y[i].item<float>(), keep ? 2.0F : 0.0F) << i;
    dropped += keep ? 0 : 1;
  }
  EXPECT_NEAR(static_cast<double>(dropped) / kCount, 0.25, 0.08);
}

TEST_P(RowKernelTest, DropoutOfAPartIsThatOfTheWhole) {
  torch::manual_seed(6);
  constexpr int64_t kCount = 500;
  at::Tensor x = torch::randn({kCount});
  at::Tensor base = torch::randn({kCount});
  auto run = [&](int64_t first, int64_t count) {
    at::Tensor y = torch::empty({count});
    k_.dropout(
        {.key = 5,
         .first = static_cast<uint64_t>(first),
         .count = count,
         .threshold = uint64_t{1} << 30,
         .scale = 1 / 0.75,
         .x = x.const_data_ptr<float>() + first,
         .base = base.const_data_ptr<float>() + first,
         .y = y.mutable_data_ptr()});
    return y;
  };
  at::Tensor whole = run(0, kCount);
  for (int64_t first = 0, count = 1; first < kCount; first += count, ++count) {
    count = std::min(count, kCount - first);
    EXPECT_TRUE(run(first, count).equal(whole.narrow(0, first, count)))
        << first << ", " << count;
  }
}

} // namespace
} // namespace accrue::tensor
