// SPDX-License-Identifier: Apache-2.0
#include <torch/types.h>

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "agreement.h"
#include "support.h"

// Operations of a model, the portable ones against the kernels of the CPU.

namespace accrue::tensor {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Backends,
    AgreementTest,
    ::testing::Values(&portable_backend(), &cuda_test_backend()),
    backend_test_name);

/// Copies of tensors, for one backend to write while the other has the
/// originals.
at::Tensor copy(const at::Tensor& x) {
  return x.defined() ? x.clone() : x;
}

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
      Chunk chunk = sample_chunks({kOffsets}, cut_by_sample(compute, 100))[0];
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
        for (const Chunk& chunk :
             sample_chunks({kOffsets}, cut_by_sample(type, 4))) {
          results.push_back(
              backend.norm(chunk, place(x), own, statistics, type_of(x)));
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
    for (Activation activation : kActivations) {
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
        expect_agreement(run, type);
      }
    }
  }
  // Far away all are 0, and so are their slopes.
  for (Activation activation : kActivations) {
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
      if (checks_indices(backend)) {
        EXPECT_THROW(
            backend.rotate(
                back, heads, place(positions + 1), table, /*inverse=*/true),
            DataError);
      }
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
      for (const Chunk& chunk :
           sample_chunks({kOffsets}, cut_by_sample(type, 4))) {
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
    expect_agreement(run, type);
  }
}

TEST_P(AgreementTest, DropoutDropsTheSameElements) {
  torch::manual_seed(26);
  std::vector<uint64_t> ids = {7, uint64_t{1} << 40, 9};
  Dropout dropout({.probability = 0.3, .seed = 1, .step = 2}, kOffsets, ids);
  at::Tensor x = random({13, 21}, Type::kF32);
  at::Tensor base = random({13, 21}, Type::kF32);
  for (const Chunk& chunk :
       sample_chunks({kOffsets}, cut_by_sample(Type::kF32, 4))) {
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
  for (Type type : {Type::kF64, Type::kF32}) {
    at::Tensor dy = random({5, 6}, type);
    dy[4][0] = NAN; // of a row that is not trained
    auto run = [&](const Backend& backend, auto&& place) {
      at::Tensor all = place(torch::ones({7, 6}, scalar_type(type)));
      backend.embed_backward(place(ids), place(dy), all);
      at::Tensor rows = place(torch::ones({2, 6}, scalar_type(type)));
      backend.embed_rows_backward(place(ids), place(dy), place(trained), rows);
      return std::vector<at::Tensor>{all.nan_to_num(), rows};
    };
    expect_agreement(run, type);
  }
}

TEST(BackendTest, ControlAgreementIsNotTrivial) {
  at::Tensor x = torch::ones({1, 4}, at::kDouble);
  EXPECT_GT(
      accrue::testing::max_relative_error(x * (1 + 1e-11), x),
      bound(Type::kF64));
}

} // namespace
} // namespace accrue::tensor
