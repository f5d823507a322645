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

TEST(DropoutTest, MaskIsKeyedBySeedStepSampleSiteAndElement) {
  constexpr int64_t kWidth = 20;
  std::vector<int64_t> offsets = {0, 3, 7};
  std::vector<uint64_t> ids = {7, 9};
  at::Tensor ones = torch::ones({7, kWidth});
  for (uint64_t seed : {1, 2}) {
    for (uint64_t step : {0, 5}) {
      for (uint64_t site : {0, 3}) {
        Dropout dropout(
            {.probability = 0.5, .seed = seed, .step = step}, offsets, ids);
        at::Tensor y = torch::empty_like(ones);
        Chunk chunk = sample_chunks(offsets, Type::kF32, 100)[0];
        dropout.apply(chunk, site, ones, {}, y);
        for (size_t s = 0; s < 2; ++s) {
          CounterRandom random(mix(mix(seed, step), mix(ids[s], site)));
          const float* got = y.const_data_ptr<float>() + offsets[s] * kWidth;
          int64_t count = (offsets[s + 1] - offsets[s]) * kWidth;
          for (int64_t e = 0; e < count; ++e) {
            auto i = static_cast<uint64_t>(e);
            bool keep = random.bits(i / 4)[i % 4] >= uint64_t{1} << 31;
            ASSERT_EQ(got[e], keep ? 2.0F : 0.0F) << s << ", " << e;
          }
        }
      }
    }
  }
}

TEST(NormTest, GradientsDoNotDependOnThreadsOrChunks) {
  torch::manual_seed(14);
  std::vector<int64_t> offsets = {0, 70, 71, 200, 233, 400};
  at::Tensor x = torch::randn({400, 72});
  at::Tensor dy = torch::randn({400, 72});
  auto run = [&](int64_t chunk_tokens) {
    Norm norm_{torch::ones({72}), torch::zeros({72}), 1e-5};
    NormGradients gradients{torch::zeros({72}), torch::zeros({72})};
    NormStatistics statistics = make_statistics(norm_, x);
    at::Tensor dx = torch::zeros_like(x);
    for (const Chunk& chunk :
         sample_chunks(offsets, Type::kF32, chunk_tokens)) {
      norm(chunk, x, norm_, statistics);
      norm_backward(chunk, x, chunk.of(dy), norm_, statistics, dx, gradients);
    }
    return std::vector<at::Tensor>{gradients.weight, gradients.bias, dx};
  };
  int threads = at::get_num_threads();
  at::set_num_threads(1);
  auto want = run(1);
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    for (int64_t chunk_tokens : {1, 150, 1000}) {
      auto got = run(chunk_tokens);
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_TRUE(got[i].equal(want[i])) << n << ", " << chunk_tokens;
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(ActivationTest, BackwardOfAChunkWorksInItsPlace) {
  torch::manual_seed(12);
  constexpr int64_t kWidth = 37;
  for (Type type : {Type::kF64, Type::kBf16}) {
    for (bool gated : {false, true}) {
      at::Tensor x =
          torch::randn({9, gated ? 2 * kWidth : kWidth}).to(scalar_type(type));
      at::Tensor wide = x.to(at::kDouble).requires_grad_();
      at::Tensor curve = at::silu(wide.narrow(1, 0, kWidth));
      at::Tensor want = gated ? curve * wide.narrow(1, kWidth, kWidth) : curve;
      at::Tensor dy = torch::randn({9, kWidth}, at::kDouble);
      want.backward(dy);
      Chunk chunk;
      chunk.begin = 2;
      chunk.end = 7;
      at::Tensor used = x.clone();
      at::Tensor dx = torch::empty({5, x.size(1)}, scalar_type(sum_type(type)));
      value_columns(dx, gated).copy_(chunk.of(dy));
      at::Tensor y =
          activate_backward(chunk.of(used), dx, Activation::kSilu, gated);
      const bool narrow = type == Type::kBf16;
      expect_near(
          y.to(at::kDouble),
          chunk.of(want).detach(),
          narrow ? 4e-3 : 1e-14,
          "values");
      expect_near(
          dx.to(at::kDouble),
          chunk.of(wide.grad()),
          narrow ? 1e-6 : 1e-14,
          "gradient");
      EXPECT_TRUE(used.narrow(0, 0, 2).equal(x.narrow(0, 0, 2)));
      EXPECT_TRUE(used.narrow(0, 7, 2).equal(x.narrow(0, 7, 2)));
    }
  }
}

} // namespace
} // namespace accrue::tensor
