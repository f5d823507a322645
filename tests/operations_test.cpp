// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "operations.h"
#include "support.h"

// Operations of each backend against LibTorch or closed forms.

namespace accrue::tensor {
namespace {

using accrue::testing::expect_near;

INSTANTIATE_TEST_SUITE_P(
    Backends,
    OperationTest,
    backends(),
    backend_test_name);

TEST_P(
    OperationTest,
    AttentionAgreesWithLibTorchOnRaggedSamplesAndGroupedHeads) {
  torch::manual_seed(5);
  Heads heads{.queries = 4, .keys = 2, .dim = 20};
  std::vector<int64_t> offsets = {0, 1, 150, 180, 470};
  at::Tensor qkv =
      torch::randn({470, heads.qkv_width()}, at::kDouble).requires_grad_();
  at::Tensor dout = torch::randn({470, heads.width()}, at::kDouble);
  std::vector<at::Tensor> parts;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    auto split = qkv.slice(0, offsets[s], offsets[s + 1])
                     .unflatten(1, {8, 20})
                     .transpose(0, 1) // [heads, L, D]
                     .unsqueeze(0)
                     .split_with_sizes({4, 2, 2}, 1);
    parts.push_back(at::scaled_dot_product_attention(
                        split[0], split[1], split[2], {}, 0, true, {}, true)
                        .squeeze(0)
                        .transpose(0, 1)
                        .flatten(1));
  }
  at::Tensor want = at::cat(parts);
  want.backward(dout);
  at::Tensor x = on_device(qkv.detach());
  at::Tensor out = torch::empty_like(on_device(want.detach()));
  at::Tensor logsumexp = on_device(torch::empty({4, 470}, at::kDouble));
  backend_.attention(offsets, x, heads, out, logsumexp);
  expect_near(out.cpu(), want.detach(), 1e-12, "attention");
  for (int64_t tokens : {1, 200, 1000}) { // however it is cut into chunks
    for (const Chunk& chunk :
         sample_chunks({offsets}, cut_by_sample(Type::kF64, tokens))) {
      at::Tensor dqkv = backend_.attention_backward(
          chunk, offsets, x, heads, out, logsumexp, on_device(chunk.of(dout)));
      expect_near(dqkv.cpu(), chunk.of(qkv.grad()), 1e-12, "gradient");
    }
  }
}

TEST_P(OperationTest, NormOfAGradientDoesNotDependOnTheThreads) {
  torch::manual_seed(6);
  at::Tensor x = on_device(torch::randn({300'001}));
  int threads = at::get_num_threads();
  double norm = backend_.l2_norms({x})[0];
  EXPECT_NEAR(norm / x.to(at::kDouble).norm().item<double>(), 1, 1e-12);
  if (!is_cpu_backend()) {
    return; // promises no bits
  }
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    EXPECT_EQ(backend_.l2_norms({x})[0], norm);
  }
  at::set_num_threads(threads);
}

TEST_P(OperationTest, NormOfATransposedGradientIsSummedUpInFp64) {
  at::Tensor x = torch::full({30, 101}, 0.1F);
  x[7][5] = 1e4F;
  x = on_device(x).t();
  double want = x.to(at::kDouble).square().sum().sqrt().item<double>();
  EXPECT_NEAR(backend_.l2_norms({x})[0] / want, 1, 1e-12);
}

TEST(TypeOfTest, Fp16IsRefused) {
  EXPECT_EQ(type_of(torch::zeros({1}, at::kFloat)), Type::kF32);
  EXPECT_EQ(type_of(torch::zeros({1}, at::kDouble)), Type::kF64);
  EXPECT_EQ(type_of(torch::zeros({1}, at::kBFloat16)), Type::kBf16);
  EXPECT_THROW(type_of(torch::zeros({1}, at::kHalf)), Error);
}

TEST_P(OperationTest, DropoutMaskIsKeyedBySeedStepSampleSiteAndElement) {
  constexpr int64_t kWidth = 20;
  std::vector<int64_t> offsets = {0, 3, 7};
  std::vector<uint64_t> ids = {7, 9};
  at::Tensor ones = on_device(torch::ones({7, kWidth}));
  for (uint64_t seed : {1, 2}) {
    for (uint64_t step : {0, 5}) {
      for (uint64_t site : {0, 3}) {
        Dropout dropout(
            {.probability = 0.5, .seed = seed, .step = step}, offsets, ids);
        at::Tensor filled = torch::empty_like(ones);
        Chunk chunk =
            sample_chunks({offsets}, cut_by_sample(Type::kF32, 100))[0];
        backend_.apply_dropout(dropout, chunk, site, ones, {}, filled);
        at::Tensor y = filled.cpu();
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

TEST_P(OperationTest, NormGradientsDoNotDependOnThreadsOrChunks) {
  if (&backend_ == &portable_backend()) {
    GTEST_SKIP() << "promises no bits";
  }
  torch::manual_seed(14);
  std::vector<int64_t> offsets = {0, 70, 71, 200, 233, 400};
  at::Tensor x = on_device(torch::randn({400, 72}));
  at::Tensor dy = on_device(torch::randn({400, 72}));
  auto run = [&](int64_t chunk_tokens) {
    auto zeros = [&] { return on_device(torch::zeros({72})); };
    Norm layer{on_device(torch::ones({72})), zeros(), 1e-5};
    NormGradients gradients{zeros(), zeros()};
    NormStatistics statistics = make_statistics(layer, x);
    at::Tensor dx = torch::zeros_like(x);
    for (const Chunk& chunk :
         sample_chunks({offsets}, cut_by_sample(Type::kF32, chunk_tokens))) {
      backend_.norm(chunk, x, layer, statistics, type_of(x));
      backend_.norm_backward(
          chunk, x, chunk.of(dy), layer, statistics, dx, gradients);
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

TEST_P(OperationTest, ActivationBackwardOfAChunkWorksInItsPlace) {
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
      at::Tensor used = on_device(x.detach().clone());
      at::Tensor dx =
          on_device(torch::empty({5, x.size(1)}, scalar_type(sum_type(type))));
      value_columns(dx, gated).copy_(chunk.of(dy));
      at::Tensor y = backend_.activate_backward(
          chunk.of(used), dx, Activation::kSilu, gated);
      const bool narrow = type == Type::kBf16;
      expect_near(
          y.cpu().to(at::kDouble),
          chunk.of(want).detach(),
          narrow ? 4e-3 : 1e-14,
          "values");
      expect_near(
          dx.cpu().to(at::kDouble),
          chunk.of(wide.grad()),
          narrow ? 1e-6 : 1e-14,
          "gradient");
      EXPECT_TRUE(used.cpu().narrow(0, 0, 2).equal(x.narrow(0, 0, 2)));
      EXPECT_TRUE(used.cpu().narrow(0, 7, 2).equal(x.narrow(0, 7, 2)));
    }
  }
}

TEST(BackendTest, TheEnvironmentChoosesTheBackendOfCpuTensors) {
  const char* name = std::getenv("ACCRUE_BACKEND");
  const std::string want = name == nullptr || *name == '\0' ? "cpu" : name;
  EXPECT_EQ(backend_of(torch::ones({1})).name(), want);
}

} // namespace
} // namespace accrue::tensor
