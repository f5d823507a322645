// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "operations.h"
#include "support.h"

// Operations of each backend against LibTorch or closed forms, and the portable
// ones against the kernels of the CPU.

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
    for (const Chunk& chunk : sample_chunks(offsets, Type::kF64, tokens)) {
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
  double norm = backend_.l2_norm(x);
  EXPECT_NEAR(norm / x.to(at::kDouble).norm().item<double>(), 1, 1e-12);
  if (!is_cpu_backend()) {
    return; // promises no bits
  }
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    EXPECT_EQ(backend_.l2_norm(x), norm);
  }
  at::set_num_threads(threads);
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
        Chunk chunk = sample_chunks(offsets, Type::kF32, 100)[0];
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
  if (!is_cpu_backend()) {
    GTEST_SKIP() << "promises no bits";
  }
  torch::manual_seed(14);
  std::vector<int64_t> offsets = {0, 70, 71, 200, 233, 400};
  at::Tensor x = torch::randn({400, 72});
  at::Tensor dy = torch::randn({400, 72});
  auto run = [&](int64_t chunk_tokens) {
    Norm layer{torch::ones({72}), torch::zeros({72}), 1e-5};
    NormGradients gradients{torch::zeros({72}), torch::zeros({72})};
    NormStatistics statistics = make_statistics(layer, x);
    at::Tensor dx = torch::zeros_like(x);
    for (const Chunk& chunk :
         sample_chunks(offsets, Type::kF32, chunk_tokens)) {
      backend_.norm(chunk, x, layer, statistics);
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

/// Copies of tensors, for one backend to write while the other has the
/// originals.
at::Tensor copy(const at::Tensor& x) {
  return x.defined() ? x.clone() : x;
}

/// Bound of max |got - want| / max |want| between backends.
double bound(Type compute) {
  return compute == Type::kF64 ? 1e-12 : compute == Type::kF32 ? 3e-6 : 2e-2;
}

class AgreementTest : public OperationTest {
 protected:
  at::Tensor random(at::IntArrayRef shape, Type type = Type::kF64) const {
    return torch::randn(shape, at::kDouble).to(scalar_type(type));
  }
  /// Compares a result of the backend with that of the CPU's kernels.
  static void expect_agree(
      const at::Tensor& got,
      const at::Tensor& want,
      Type compute,
      const std::string& what) {
    expect_near(
        got.cpu().to(at::kDouble), want.to(at::kDouble), bound(compute), what);
  }
  Linear on_device(const Linear& layer) const {
    Linear moved{
        OperationTest::on_device(layer.weight),
        OperationTest::on_device(layer.bias),
        layer.layout};
    if (const Adapter* adapter = layer.adapter.get()) {
      moved.adapter = std::make_shared<Adapter>(Adapter{
          on_device(adapter->a), on_device(adapter->b), adapter->scale});
    }
    if (const TrainedRows* rows = layer.rows.get()) {
      moved.rows = std::make_shared<TrainedRows>(
          TrainedRows{on_device(rows->ids), on_device(rows->values)});
    }
    return moved;
  }
  using OperationTest::on_device;
};

INSTANTIATE_TEST_SUITE_P(
    Backends,
    AgreementTest,
    ::testing::Values(&portable_backend()),
    backend_test_name);

constexpr Type kTypes[] = {Type::kF64, Type::kF32, Type::kBf16};
const std::vector<int64_t> kOffsets = {0, 3, 4, 13};

TEST_P(AgreementTest, LinearLayersAndTheirGradients) {
  torch::manual_seed(21);
  for (Type compute : kTypes) {
    const Type sum = sum_type(compute);
    for (int kind = 0; kind < 8; ++kind) {
      const bool in_first = (kind & 1) != 0;
      const bool adapts = (kind & 2) != 0;
      const bool more = (kind & 4) != 0; // a bias, or trained rows
      Linear layer{
          in_first ? random({20, 12}, sum) : random({12, 20}, sum), {}};
      layer.layout = in_first ? WeightLayout::kInOut : WeightLayout::kOutIn;
      LinearGradients zeros{torch::zeros_like(layer.weight)};
      if (more) {
        layer.bias = random({12}, sum);
        zeros.bias = torch::zeros_like(layer.bias);
      }
      if (adapts) {
        layer.adapter = std::make_shared<Adapter>(
            Adapter{random({3, 20}, sum), random({12, 3}, sum), 1.5});
        zeros.adapter_a = torch::zeros_like(layer.adapter->a);
        zeros.adapter_b = torch::zeros_like(layer.adapter->b);
      }
      if (more && !in_first) {
        layer.rows = std::make_shared<TrainedRows>(
            TrainedRows{torch::tensor({7, 2}), random({2, 20}, sum)});
        zeros.rows = torch::zeros_like(layer.rows->values);
      }
      at::Tensor x = random({13, 20}, compute);
      at::Tensor dy = random({13, 12}, sum);
      Chunk chunk = sample_chunks(kOffsets, compute, 100)[0];
      auto run = [&](const Backend& backend, auto&& place) {
        Linear own = place(layer);
        std::vector<at::Tensor> results;
        for (Type type : {compute, sum}) {
          results.push_back(place(torch::empty({13, 12}, scalar_type(type))));
          backend.linear(place(x), own, compute, results.back(), false);
        }
        results.push_back(place(dy.clone()));
        backend.linear(place(x), own, compute, results.back(), true);
        for (bool add : {false, true}) {
          results.push_back(place(torch::ones({13, 20}, scalar_type(sum))));
          backend.linear_input_gradient(
              place(dy), own, compute, results.back(), add);
        }
        LinearGradients g{
            place(copy(zeros.weight)),
            place(copy(zeros.bias)),
            place(copy(zeros.adapter_a)),
            place(copy(zeros.adapter_b)),
            place(copy(zeros.rows))};
        for (int i = 0; i < 2; ++i) { // added to what is there
          backend.linear_weight_gradient(
              chunk, place(x), place(dy), own, compute, g);
        }
        for (const at::Tensor& gradient :
             {g.weight, g.bias, g.adapter_a, g.adapter_b, g.rows}) {
          if (gradient.defined()) {
            results.push_back(gradient);
          }
        }
        return results;
      };
      auto want = run(cpu_backend(), [](const auto& t) { return t; });
      auto got =
          run(backend_, [&](const auto& t) { return this->on_device(t); });
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].scalar_type(), want[i].scalar_type());
        expect_agree(
            got[i],
            want[i],
            compute,
            "layer " + std::to_string(kind) + ", " + std::to_string(i));
      }
    }
  }
}

TEST_P(AgreementTest, NormsAndTheirGradients) {
  torch::manual_seed(22);
  for (Type type : {Type::kF64, Type::kF32}) {
    for (bool layer_norm : {true, false}) {
      at::Tensor x = random({13, 20}, type);
      at::Tensor dy = random({13, 20}, type);
      Norm layer{random({20}, type), {}, 1e-5};
      if (layer_norm) {
        layer.bias = random({20}, type);
      }
      auto run = [&](const Backend& backend, auto&& place) {
        Norm own{place(layer.weight), place(layer.bias), layer.epsilon};
        NormStatistics statistics = make_statistics(own, place(x));
        NormGradients g{place(torch::ones_like(layer.weight)), {}};
        if (layer_norm) {
          g.bias = place(torch::ones_like(layer.bias));
        }
        at::Tensor dx = place(torch::ones_like(x));
        std::vector<at::Tensor> results = {dx, g.weight};
        for (const Chunk& chunk : sample_chunks(kOffsets, type, 4)) {
          results.push_back(backend.norm(chunk, place(x), own, statistics));
          backend.norm_backward(
              chunk, place(x), place(chunk.of(dy)), own, statistics, dx, g);
        }
        results.push_back(statistics.rstd);
        if (layer_norm) {
          results.push_back(g.bias);
          results.push_back(statistics.mean);
        }
        return results;
      };
      auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
      auto got =
          run(backend_, [&](const at::Tensor& t) { return on_device(t); });
      for (size_t i = 0; i < want.size(); ++i) {
        expect_agree(got[i], want[i], type, "result " + std::to_string(i));
      }
    }
  }
}

TEST_P(AgreementTest, ActivationsAndTheirGradients) {
  torch::manual_seed(23);
  for (Type type : kTypes) {
    for (Activation activation :
         {Activation::kGelu, Activation::kGeluTanh, Activation::kSilu}) {
      for (bool gated : {false, true}) {
        at::Tensor x = random({9, 40}, type) * 3;
        at::Tensor dx = random({9, 40}, sum_type(type));
        auto run = [&](const Backend& backend, auto&& place) {
          at::Tensor used = place(x.clone());
          at::Tensor gradient = place(dx.clone());
          at::Tensor y = backend.activate(used, activation, gated);
          at::Tensor again =
              backend.activate_backward(used, gradient, activation, gated);
          return std::vector<at::Tensor>{y, again, gradient, used};
        };
        auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
        auto got =
            run(backend_, [&](const at::Tensor& t) { return on_device(t); });
        for (size_t i = 0; i < want.size(); ++i) {
          EXPECT_EQ(got[i].scalar_type(), want[i].scalar_type());
          expect_agree(got[i], want[i], type, "result " + std::to_string(i));
        }
      }
    }
  }
  // Far away all are 0, and so are their slopes.
  for (Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kSilu}) {
    at::Tensor far = on_device(torch::full({1, 20}, -1e30));
    at::Tensor slope = on_device(torch::ones({1, 20}));
    backend_.activate_backward(far, slope, activation, /*gated=*/false);
    EXPECT_LT(far.abs().max().item<double>(), 1e-30);
    EXPECT_LT(slope.abs().max().item<double>(), 1e-30);
  }
}

TEST_P(AgreementTest, Rotations) {
  torch::manual_seed(24);
  Heads heads{.queries = 4, .keys = 2, .dim = 6};
  at::Tensor frequencies = torch::tensor({1.0F, 0.3F, 0.01F});
  at::Tensor positions = torch::tensor({0, 8, 3, 3});
  for (Type type : kTypes) {
    at::Tensor qkv = random({4, heads.qkv_width()}, type);
    auto run = [&](const Backend& backend, auto&& place) {
      RotaryTable table = backend.rotary_table(
          9, place(frequencies), scalar_type(sum_type(type)));
      at::Tensor forth = place(qkv.clone());
      backend.rotate(forth, heads, place(positions), table, false);
      at::Tensor back = place(qkv.clone());
      backend.rotate(back, heads, place(positions), table, true);
      EXPECT_THROW(
          backend.rotate(
              back, heads, place(positions + 1), table, /*inverse=*/true),
          DataError);
      return std::vector<at::Tensor>{table.cos, table.sin, forth, back};
    };
    auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
    auto got = run(backend_, [&](const at::Tensor& t) { return on_device(t); });
    for (size_t i = 0; i < want.size(); ++i) {
      // The table is rounded to fp32 whatever the type.
      const Type rounded = i < 2 || type == Type::kF64 ? Type::kF32 : type;
      expect_agree(got[i], want[i], rounded, "result " + std::to_string(i));
    }
  }
}

TEST_P(AgreementTest, AttentionAndItsGradient) {
  torch::manual_seed(25);
  Heads heads{.queries = 4, .keys = 2, .dim = 6};
  for (Type type : kTypes) {
    at::Tensor qkv = random({13, heads.qkv_width()}, type);
    at::Tensor dout = random({13, heads.width()}, sum_type(type));
    auto run = [&](const Backend& backend, auto&& place) {
      at::Tensor out =
          place(torch::empty({13, heads.width()}, scalar_type(type)));
      at::Tensor sums =
          place(torch::empty({4, 13}, scalar_type(sum_type(type))));
      backend.attention(kOffsets, place(qkv), heads, out, sums);
      std::vector<at::Tensor> results = {out, sums};
      for (const Chunk& chunk : sample_chunks(kOffsets, type, 4)) {
        results.push_back(backend.attention_backward(
            chunk,
            kOffsets,
            place(qkv),
            heads,
            out,
            sums,
            place(chunk.of(dout))));
      }
      return results;
    };
    auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
    auto got = run(backend_, [&](const at::Tensor& t) { return on_device(t); });
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].scalar_type(), want[i].scalar_type());
      expect_agree(got[i], want[i], type, "result " + std::to_string(i));
    }
  }
}

TEST_P(AgreementTest, DropoutDropsTheSameElements) {
  torch::manual_seed(26);
  std::vector<uint64_t> ids = {7, uint64_t{1} << 40, 9};
  Dropout dropout({.probability = 0.3, .seed = 1, .step = 2}, kOffsets, ids);
  at::Tensor x = random({13, 21}, Type::kF32);
  at::Tensor base = random({13, 21}, Type::kF32);
  for (const Chunk& chunk : sample_chunks(kOffsets, Type::kF32, 4)) {
    for (bool adds : {false, true}) {
      auto run = [&](const Backend& backend, auto&& place) {
        at::Tensor y = place(chunk.of(x).clone());
        backend.apply_dropout(
            dropout,
            chunk,
            3,
            y,
            adds ? place(chunk.of(base)) : at::Tensor(),
            y); // in place
        return y;
      };
      at::Tensor want =
          run(cpu_backend(), [](const at::Tensor& t) { return t; });
      at::Tensor got = run(backend_, [&](const at::Tensor& t) {
                         return on_device(t);
                       }).cpu();
      expect_agree(got, want, Type::kF32, "dropout");
      at::Tensor dropped = adds ? chunk.of(base) : torch::zeros_like(got);
      EXPECT_TRUE(got.eq(dropped).equal(want.eq(dropped)));
    }
  }
}

TEST_P(AgreementTest, GradientsOfEmbeddings) {
  torch::manual_seed(27);
  at::Tensor ids = torch::tensor({2, 0, 2, 5, 1});
  at::Tensor trained = torch::tensor({5, 2});
  at::Tensor dy = random({5, 6});
  dy[4][0] = NAN; // of a row that is not trained
  auto run = [&](const Backend& backend, auto&& place) {
    at::Tensor all = place(torch::ones({7, 6}, at::kDouble));
    backend.embed_backward(place(ids), place(dy), all);
    at::Tensor rows = place(torch::ones({2, 6}, at::kDouble));
    backend.embed_rows_backward(place(ids), place(dy), place(trained), rows);
    return std::vector<at::Tensor>{all.nan_to_num(), rows};
  };
  auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
  auto got = run(backend_, [&](const at::Tensor& t) { return on_device(t); });
  expect_agree(got[0], want[0], Type::kF64, "table");
  expect_agree(got[1], want[1], Type::kF64, "trained rows");
}

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
      for (const Chunk& chunk : segment_chunks(kOffsets, compute, 4)) {
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
    auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
    auto got = run(backend_, [&](const at::Tensor& t) { return on_device(t); });
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].scalar_type(), want[i].scalar_type());
      expect_agree(got[i], want[i], compute, "result " + std::to_string(i));
    }
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

TEST(BackendTest, ControlAgreementIsNotTrivial) {
  at::Tensor x = torch::ones({1, 4}, at::kDouble);
  EXPECT_GT(
      accrue::testing::max_relative_error(x * (1 + 1e-11), x),
      bound(Type::kF64));
}

TEST(BackendTest, TheEnvironmentChoosesTheBackendOfCpuTensors) {
  const char* name = std::getenv("ACCRUE_BACKEND");
  const std::string want = name == nullptr || *name == '\0' ? "cpu" : name;
  EXPECT_EQ(backend_of(torch::ones({1})).name(), want);
}

} // namespace
} // namespace accrue::tensor
