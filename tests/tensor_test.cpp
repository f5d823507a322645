// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "accrue/window/window.h"
#include "instruction_sets.h"
#include "operations.h"
#include "support.h"
#include "tensor/cpu/row_access.h"
#include "tensor/ops.h"

// The kernels of every instruction set that this CPU has, against LibTorch.

namespace accrue::tensor {
namespace {

using accrue::testing::expect_near;

INSTANTIATE_TEST_SUITE_P(
    Sets,
    KernelTest,
    ::testing::ValuesIn(instruction_sets()),
    isa_name);

double tolerance(Type compute) {
  return compute == Type::kF64 ? 1e-13 : 2e-6;
}

/// The values of x that products of type `compute` see.
at::Tensor seen(const at::Tensor& x, Type compute) {
  return (compute == Type::kBf16 ? x.to(at::kBFloat16) : x).to(at::kDouble);
}

Gemm product(
    const at::Tensor& a,
    const at::Tensor& b,
    const at::Tensor& c,
    Type compute) {
  Gemm gemm;
  gemm.m = a.size(0);
  gemm.k = a.size(1);
  gemm.n = b.size(1);
  gemm.a = matrix(a);
  gemm.b = matrix(b);
  gemm.c = mutable_matrix(c);
  gemm.compute = compute;
  return gemm;
}

struct Shape {
  int64_t m, n, k;
};
const std::vector<Shape> kShapes = {
    {1, 1, 1},
    {7, 50, 33},
    {8, 48, 256},
    {130, 64, 300},
    {33, 257, 515},
    {100, 65, 1030},
    // A vector more than a whole block of columns, in fp32 and in fp64.
    {17, 777, 600},
    {9, 389, 300},
    {3, 1700, 40}};

TEST_P(KernelTest, ProductsOfEveryLayoutAgreeWithLibTorch) {
  torch::manual_seed(1);
  for (Type compute : {Type::kF32, Type::kF64, Type::kBf16}) {
    for (const Shape& s : kShapes) {
      for (int layout = 0; layout < 8; ++layout) {
        auto options = at::TensorOptions().dtype(
            scalar_type(layout < 4 ? sum_type(compute) : compute));
        auto make = [&](int64_t rows, int64_t columns, bool transposed) {
          return transposed ? torch::randn({columns, rows}).to(options).t()
                            : torch::randn({rows, columns}).to(options);
        };
        at::Tensor a = make(s.m, s.k, (layout & 1) != 0);
        at::Tensor b = make(s.k, s.n, (layout & 2) != 0);
        at::Tensor want = at::matmul(seen(a, compute), seen(b, compute));
        at::Tensor bias =
            torch::randn({s.n}).to(scalar_type(sum_type(compute)));
        at::Tensor c = empty(sum_type(compute), {s.m, s.n});
        Gemm gemm = product(a, b, c, compute);
        gemm.bias = bias.const_data_ptr();
        k_.gemm(gemm);
        expect_near(c.to(at::kDouble), want + bias, tolerance(compute), "A·B");
        gemm.bias = nullptr;
        gemm.add = true;
        k_.gemm(gemm);
        expect_near(
            c.to(at::kDouble), 2 * want + bias, tolerance(compute), "C += A·B");
        at::Tensor packed =
            at::empty({static_cast<int64_t>(k_.packed_bytes(gemm))}, at::kByte);
        k_.pack(gemm, packed.mutable_data_ptr());
        gemm.packed_b = packed.const_data_ptr();
        gemm.add = false;
        at::Tensor again = empty(compute, {s.m, s.n});
        gemm.c = mutable_matrix(again);
        k_.gemm(gemm);
        expect_near(
            again.to(at::kDouble),
            want,
            compute == Type::kBf16 ? 0x1p-8 : tolerance(compute),
            "packed, into the compute type");
      }
    }
  }
}

TEST_P(KernelTest, RowsOfAProductDoNotDependOnTheOthers) {
  torch::manual_seed(2);
  for (Type compute : {Type::kF32, Type::kBf16}) {
    for (int64_t columns : {100, 777}) {
      at::Tensor a = torch::randn({75, 600});
      at::Tensor b = torch::randn({600, columns});
      at::Tensor whole = empty(compute, {75, columns});
      k_.gemm(product(a, b, whole, compute));
      for (int64_t begin = 0, rows = 1; begin < 75; begin += rows, ++rows) {
        rows = std::min(rows, 75 - begin);
        at::Tensor part = empty(compute, {rows, columns});
        k_.gemm(product(a.narrow(0, begin, rows), b, part, compute));
        EXPECT_TRUE(part.equal(whole.narrow(0, begin, rows))) << begin;
      }
    }
  }
}

TEST_P(KernelTest, ElementsAboveTheDiagonalAreLeftOut) {
  torch::manual_seed(5);
  at::Tensor a = torch::randn({45, 70});
  at::Tensor b = torch::randn({70, 110});
  at::Tensor whole = empty(Type::kF32, {45, 110});
  for (Type compute : {Type::kF32, Type::kBf16}) {
    Gemm gemm = product(a, b, whole, compute);
    k_.gemm(gemm);
    for (int64_t diagonal : {0, 7, 33, 64}) {
      at::Tensor part = torch::full({45, 110}, 1e9F);
      gemm.c = mutable_matrix(part);
      gemm.diagonal = diagonal;
      k_.gemm(gemm);
      EXPECT_TRUE(part.tril(diagonal).equal(whole.tril(diagonal))) << diagonal;
      EXPECT_EQ(part[0][109].item<float>(), 1e9F) << "not made";
    }
  }
}

/// Xᵀ·dY of samples of these lengths, in calls of `per_call` of them.
at::Tensor fold(
    const Kernels& k,
    Type compute,
    const at::Tensor& x,
    const at::Tensor& dy,
    const std::vector<int64_t>& lengths,
    size_t per_call,
    bool one_segment = false) {
  at::Tensor gradient = torch::zeros({x.size(1), dy.size(1)});
  int64_t begin = 0;
  for (size_t i = 0; i < lengths.size(); i += per_call) {
    std::vector<int64_t> ends;
    int64_t count = 0;
    for (size_t j = i; j < std::min(i + per_call, lengths.size()); ++j) {
      ends.push_back(count += lengths[j]);
    }
    if (one_segment) {
      ends = {count};
    }
    Gemm gemm = product(
        x.narrow(0, begin, count).t(),
        dy.narrow(0, begin, count),
        gradient,
        compute);
    gemm.add = true;
    gemm.segment_ends = ends.data();
    k.gemm(gemm);
    begin += count;
  }
  return gradient;
}

TEST_P(KernelTest, FoldPerSampleHasTheSameBitsForEverySplitAndThreadCount) {
  torch::manual_seed(3);
  std::vector<int64_t> lengths = {31, 1, 64, 17, 90, 5, 33};
  at::Tensor x = torch::randn({241, 70});
  at::Tensor dy = torch::randn({241, 130});
  int threads = at::get_num_threads();
  for (Type compute : {Type::kF32, Type::kBf16}) {
    at::Tensor want = fold(k_, compute, x, dy, lengths, 1);
    for (size_t per_call : {2, 3, 7}) {
      for (int n : {1, 2, 3}) {
        at::set_num_threads(n);
        EXPECT_TRUE(fold(k_, compute, x, dy, lengths, per_call).equal(want));
      }
      at::set_num_threads(threads);
      at::Tensor control = fold(k_, compute, x, dy, lengths, per_call, true);
      EXPECT_FALSE(control.equal(want)) << "folded per micro-batch";
      expect_near(control, want, 1e-5, "but near");
    }
  }
}

TEST_P(KernelTest, DenormalsRoundAlikeWhereverTheyArePacked) {
  // They would be 2^-126 in bf16, and are 0 for the instruction that rounds.
  at::Tensor a =
      torch::full({4, 16}, 0x007fc000, at::kInt).view(at::kFloat); // [k, m]
  at::Tensor b = torch::full({4, 20}, 0x1p100F);
  at::Tensor whole = torch::zeros({16, 20});
  k_.gemm(product(a.t(), b, whole, Type::kBf16));
  for (int64_t m : {1, 8, 15}) { // no whole vector
    at::Tensor part = torch::zeros({m, 20});
    k_.gemm(product(a.narrow(1, 0, m).t(), b, part, Type::kBf16));
    EXPECT_TRUE(part.equal(whole.narrow(0, 0, m)));
  }
}

TEST_P(KernelTest, ExponentialsAreAccurateAndKeepNan) {
  at::Tensor x = torch::linspace(-20, 20, 4001);
  at::Tensor y = torch::empty_like(x);
  auto backward =
      [&](Activation activation, const at::Tensor& of, const at::Tensor& dx) {
        at::Tensor dy = torch::ones_like(of);
        k_.activate_backward(
            {.activation = activation,
             .count = of.numel(),
             .x = of.const_data_ptr(),
             .y = y.data_ptr()},
            {.dy = dy.const_data_ptr(), .dx = dx.data_ptr()});
      };
  for (Activation activation : kActivations) {
    at::Tensor wide = x.to(at::kDouble).requires_grad_();
    at::Tensor want = activation == Activation::kSilu ? at::silu(wide)
        : activation == Activation::kGelu             ? at::gelu(wide)
                                                      : at::gelu(wide, "tanh");
    want.sum().backward();
    at::Tensor dx = torch::empty_like(x);
    k_.activate(
        {.activation = activation,
         .count = 4001,
         .x = x.const_data_ptr(),
         .y = y.data_ptr()});
    EXPECT_LT((y - want).abs().max().item<double>(), 2e-6);
    backward(activation, x, dx);
    EXPECT_LT((y - want).abs().max().item<double>(), 2e-6);
    EXPECT_LT((dx - wide.grad()).abs().max().item<double>(), 4e-6);
  }
  // Far away all are 0, and so are their slopes.
  at::Tensor far = torch::full({20}, -1e30);
  at::Tensor dx = torch::ones({20});
  for (Activation activation : kActivations) {
    backward(activation, far, dx);
    EXPECT_LT(y.narrow(0, 0, 20).abs().max().item<double>(), 1e-30);
    EXPECT_LT(dx.abs().max().item<double>(), 1e-30);
  }
  at::Tensor bad = torch::full({20}, NAN);
  k_.activate(
      {.activation = Activation::kSilu,
       .count = 20,
       .x = bad.const_data_ptr(),
       .y = y.data_ptr()});
  EXPECT_TRUE(y.narrow(0, 0, 20).isnan().all().item<bool>());
}

TEST_P(KernelTest, BackwardOfACurveHasTheSameBitsInPlace) {
  torch::manual_seed(9);
  constexpr int64_t kCount = 77;
  for (Type type : {Type::kF64, Type::kF32, Type::kBf16}) {
    at::Tensor gate = torch::randn({kCount}).to(scalar_type(type));
    at::Tensor up = torch::randn({kCount}).to(scalar_type(type));
    at::Tensor dy = torch::randn({kCount}).to(scalar_type(sum_type(type)));
    at::Tensor y = torch::empty_like(gate);
    at::Tensor dgate = torch::empty_like(dy);
    at::Tensor dx = torch::empty_like(dy);
    for (bool gated : {false, true}) {
      auto gate_of = [&](const at::Tensor& from) {
        return gated ? from.const_data_ptr() : nullptr;
      };
      auto x_of = [&](const at::Tensor& from) {
        return (gated ? up : from).const_data_ptr();
      };
      auto run = [&](const at::Tensor& from,
                     const at::Tensor& dout,
                     const at::Tensor& out,
                     const at::Tensor& to) {
        k_.activate_backward(
            {.activation = Activation::kSilu,
             .type = type,
             .count = kCount,
             .gate = gate_of(from),
             .x = x_of(from),
             .y = out.mutable_data_ptr()},
            {.dy = dout.const_data_ptr(),
             .dgate = gated ? dgate.mutable_data_ptr() : nullptr,
             .dx = to.mutable_data_ptr()});
      };
      run(gate, dy, y, dx);
      at::Tensor used = gate.clone();
      at::Tensor used_dy = dy.clone();
      run(used, used_dy, used, used_dy);
      EXPECT_TRUE(used.equal(y));
      EXPECT_TRUE(used_dy.equal(dx));
      at::Tensor values = torch::empty_like(gate);
      k_.activate(
          {.activation = Activation::kSilu,
           .type = type,
           .count = kCount,
           .gate = gate_of(gate),
           .x = x_of(gate),
           .y = values.mutable_data_ptr()});
      expect_near(values, y, type == Type::kBf16 ? 0.01 : 1e-6, "values");
    }
  }
}

TEST_P(KernelTest, LossRowsAgreeWithLibTorch) {
  torch::manual_seed(4);
  at::Tensor logits = (torch::randn({9, 1003}) * 8).requires_grad_();
  at::Tensor targets = torch::randint(0, 1003, {9});
  at::Tensor weights = torch::rand({9}, at::kDouble);
  weights[3] = 0;
  at::Tensor want =
      at::cross_entropy_loss(logits, targets, {}, at::Reduction::None)
          .to(at::kDouble) *
      weights;
  want.sum().backward();
  at::Tensor losses = torch::empty({9}, at::kDouble);
  auto gradient = [&](Type type) {
    at::Tensor work = logits.detach().clone();
    LossRows rows;
    rows.rows = 9;
    rows.vocab = 1003;
    rows.logits = work.data_ptr();
    rows.gradient_type = type;
    rows.targets = targets.const_data_ptr<int64_t>();
    rows.weights = weights.const_data_ptr<double>();
    rows.losses = losses.mutable_data_ptr<double>();
    rows.gradient = true;
    k_.loss(rows);
    expect_near(losses, want.detach(), 1e-6, "losses");
    return work;
  };
  at::Tensor exact = gradient(Type::kF32);
  EXPECT_LT((exact - logits.grad()).abs().max().item<double>(), 1e-6);
  at::Tensor rounded =
      gradient(Type::kBf16).view(at::kBFloat16).narrow(1, 0, 1003);
  EXPECT_TRUE(rounded.equal(exact.to(at::kBFloat16)));
  EXPECT_EQ(losses[3].item<double>(), 0);
  // Multiples of 2⁻²⁴ add up exactly, in any order.
  at::Tensor scaled = losses * 0x1p24;
  EXPECT_TRUE(scaled.equal(scaled.round()));
}

TEST(PackedWeightTest, IsMadeOnceUntilTheWeightChanges) {
  at::Tensor weight = torch::ones({3, 64}).requires_grad_();
  if (kernels().packed_bytes({.n = 64, .k = 3, .compute = Type::kBf16}) >=
      weight.nbytes()) {
    GTEST_SKIP() << "weights are packed as they are used: "
                 << instruction_set().name << " does not multiply bf16";
  }
  Linear layer = make_linear(weight, {}, WeightLayout::kInOut);
  at::Tensor x = torch::ones({2, 3});
  at::Tensor y = torch::empty({2, 64});
  linear(x, layer, Type::kBf16, y);
  EXPECT_TRUE(y.equal(torch::full({2, 64}, 3.0)));
  // Behind LibTorch's back: who packed it again would see it.
  std::fill_n(weight.mutable_data_ptr<float>(), weight.numel(), 5.0F);
  linear(x, layer, Type::kBf16, y);
  EXPECT_TRUE(y.equal(torch::full({2, 64}, 3.0)));
  std::fill_n(weight.mutable_data_ptr<float>(), weight.numel(), 1.0F);
  AdamW optimizer({weight}, {.lr = 1, .weight_decay = 0});
  std::vector<at::Tensor> gradients = {torch::ones({3, 64})};
  optimizer.step(gradients);
  linear(x, layer, Type::kBf16, y);
  EXPECT_LT(y.abs().max().item<double>(), 1e-3); // 1 - 1, three times
  weight.set_data(torch::full({3, 64}, 2.0)); // which is no write
  linear(x, layer, Type::kBf16, y);
  EXPECT_TRUE(y.equal(torch::full({2, 64}, 6.0)));
}

TEST(WindowAliasTest, GradientsOfTensorsOnOneMemoryAreOneGradient) {
  at::Tensor weight = torch::ones({2}).requires_grad_();
  at::Tensor alias = weight.detach().requires_grad_();
  Window window({weight, alias});
  EXPECT_EQ(window.parameters().size(), 1U);
  window.add({.sum = (weight * 3).sum() + (alias * 4).sum(), .weight = 1});
  AdamW optimizer({weight, alias}, {.lr = 0});
  EXPECT_EQ(optimizer.parameters().size(), 1U);
  window.normalize();
  EXPECT_TRUE(window.gradients()[0].equal(torch::full({2}, 7.0)));
}

} // namespace
} // namespace accrue::tensor
