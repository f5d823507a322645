// SPDX-License-Identifier: Apache-2.0
#include "kernel_support.h"

namespace accrue::tensor::cuda {
namespace {

constexpr int64_t kRows = 7;
constexpr float kEpsilon = 1e-5F;

/// Arguments of a norm and of its backward.
template <class T>
struct Data {
  Data(int columns, bool layer_norm)
      : width(columns),
        layer(layer_norm),
        x(kRows, columns, 1),
        dy(kRows, columns, 2),
        y(kRows, columns),
        dx(kRows, columns, 3),
        weight(normal_values(columns, 4)),
        bias(normal_values(columns, 5)),
        mean(kRows, layer ? 0 : 99),
        rstd(kRows) {
    for (float& value : x.data) {
      value = 3 * value + 2;
    }
  }

  const float* bias_or_null() const {
    return layer ? bias.data() : nullptr;
  }
  float* mean_or_null(int64_t row = 0) {
    return layer ? mean.data() + row : nullptr;
  }

  /// Computes the rows [begin, end).
  void forward(
      int64_t begin,
      int64_t end,
      unsigned threads = 64,
      emulator::Order order = emulator::Order::kForward) {
    launch(
        emulator::Emulator(emulator::all_kernels(), order),
        name_of<T>("norm").c_str(),
        Grid{static_cast<unsigned>(end - begin), 1, threads},
        std::as_const(x).at(begin),
        x.stride,
        std::as_const(weight).data(),
        bias_or_null(),
        y.at(begin),
        y.stride,
        mean_or_null(begin),
        rstd.data() + begin,
        width,
        kEpsilon);
  }
  void backward(int64_t begin, int64_t end, unsigned threads = 64) {
    run(name_of<T>("norm_input_gradient"),
        Grid{static_cast<unsigned>(end - begin), 1, threads},
        std::as_const(x).at(begin),
        x.stride,
        std::as_const(dy).at(begin),
        dy.stride,
        std::as_const(weight).data(),
        const_cast<const float*>(mean_or_null(begin)),
        static_cast<const float*>(rstd.data() + begin),
        dx.at(begin),
        dx.stride,
        width);
  }
  /// Adds the gradients of rows [first row of piece `begin`, `end` · 2).
  void fold(
      std::vector<int> ends,
      int64_t first_row,
      std::vector<float>& dweight,
      std::vector<float>& dbias) {
    auto pieces = static_cast<unsigned>(ends.size());
    std::vector<float> weights(pieces * dweight.size(), 99);
    std::vector<float> biases(pieces * dbias.size(), 99);
    run(name_of<T>("norm_partials"),
        Grid{tiles(width, 32), pieces, 32},
        std::as_const(x).at(first_row),
        x.stride,
        std::as_const(dy).at(first_row),
        dy.stride,
        const_cast<const float*>(mean_or_null(first_row)),
        static_cast<const float*>(rstd.data() + first_row),
        static_cast<const int*>(ends.data()),
        1,
        weights.data(),
        layer ? biases.data() : nullptr,
        width);
    auto add = [&](std::vector<float>& partials, std::vector<float>& sum) {
      run("fold_partials",
          Grid{tiles(width, 64), 1, 64},
          static_cast<const float*>(partials.data()),
          static_cast<int>(pieces),
          sum.data(),
          width);
    };
    add(weights, dweight);
    if (layer) {
      add(biases, dbias);
    }
  }

  int width;
  bool layer;
  Matrix<float> x;
  Matrix<T> dy;
  Matrix<T> y;
  Matrix<float> dx;
  std::vector<float> weight;
  std::vector<float> bias;
  std::vector<float> mean;
  std::vector<float> rstd;
};

/// A row's statistics in fp64.
struct Row {
  template <class T>
  Row(const Data<T>& data, int64_t r) {
    const double width = data.width;
    for (int c = 0; c < data.width && data.layer; ++c) {
      mean += data.x(r, c) / width;
    }
    double variance = 0;
    for (int c = 0; c < data.width; ++c) {
      variance += std::pow(data.x(r, c) - mean, 2) / width;
    }
    rstd = 1 / std::sqrt(variance + kEpsilon);
    for (int c = 0; c < data.width; ++c) {
      normal.push_back((data.x(r, c) - mean) * rstd);
    }
  }
  double mean = 0;
  double rstd = 0;
  std::vector<double> normal;
};

template <class T>
class NormKernels : public testing::Test {};
TYPED_TEST_SUITE(NormKernels, ElementTypes);

TYPED_TEST(NormKernels, ForwardAgreesWithFp64) {
  for (int width : kWidths) {
    for (bool layer : {true, false}) {
      for (unsigned threads : {32U, 96U, 1024U}) {
        Data<TypeParam> data(width, layer);
        data.forward(0, kRows, threads);
        for (int64_t r = 0; r < kRows; ++r) {
          auto i = static_cast<size_t>(r);
          Row row(data, r);
          // A width of 1 divides a rounding error of the mean by √epsilon.
          EXPECT_NEAR(data.rstd[i] / row.rstd, 1, 1e-5);
          EXPECT_NEAR(data.mean[i], layer ? row.mean : 99, 1e-5);
          for (int c = 0; c < width; ++c) {
            auto j = static_cast<size_t>(c);
            expect_near(
                *data.y.at(r, c),
                row.normal[j] * data.weight[j] + (layer ? data.bias[j] : 0));
          }
        }
        EXPECT_TRUE(data.y.gaps_are_whole());
      }
    }
  }
}

TYPED_TEST(NormKernels, MeanMayBeLarge) {
  Data<TypeParam> data(130, true);
  for (float& value : data.x.data) {
    value += 5000;
  }
  data.forward(0, kRows);
  for (int64_t r = 0; r < kRows; ++r) {
    EXPECT_NEAR(data.rstd[static_cast<size_t>(r)] / Row(data, r).rstd, 1, 1e-5);
  }
}

TYPED_TEST(NormKernels, InputGradientAgreesWithFp64) {
  for (int width : kWidths) {
    for (bool layer : {true, false}) {
      Data<TypeParam> data(width, layer);
      const Matrix<float> before = data.dx;
      data.forward(0, kRows);
      data.backward(0, kRows, width > 64 ? 256 : 32);
      for (int64_t r = 0; r < kRows; ++r) {
        Row row(data, r);
        double mean_g = 0;
        double mean_gx = 0;
        auto g = [&](int c) {
          return data.dy(r, c) * data.weight[static_cast<size_t>(c)];
        };
        for (int c = 0; c < width; ++c) {
          mean_g += layer ? g(c) / width : 0;
          mean_gx += g(c) * row.normal[static_cast<size_t>(c)] / width;
        }
        for (int c = 0; c < width; ++c) {
          double normal = row.normal[static_cast<size_t>(c)];
          double gradient = row.rstd * (g(c) - mean_g - normal * mean_gx);
          expect_near(*data.dx.at(r, c), before(r, c) + gradient, 1 + row.rstd);
        }
      }
      EXPECT_TRUE(data.dx.gaps_are_whole());
    }
  }
}

TYPED_TEST(NormKernels, RowsDoNotDependOnOtherRows) {
  for (bool layer : {true, false}) {
    Data<TypeParam> whole(130, layer);
    whole.forward(0, kRows);
    whole.backward(0, kRows);
    Data<TypeParam> parts(130, layer);
    for (auto [begin, end] : {std::pair(0, 1), {1, 4}, {4, 7}}) {
      parts.forward(begin, end);
      parts.backward(begin, end);
    }
    EXPECT_TRUE(same_bits(whole.y.data, parts.y.data));
    EXPECT_TRUE(same_bits(whole.dx.data, parts.dx.data));
    EXPECT_TRUE(same_bits(whole.rstd, parts.rstd));
  }
}

TYPED_TEST(NormKernels, OrderOfThreadsDoesNotMatter) {
  Data<TypeParam> forward(130, true);
  Data<TypeParam> backward(130, true);
  forward.forward(0, kRows, 96);
  backward.forward(0, kRows, 96, emulator::Order::kBackward);
  EXPECT_TRUE(same_bits(forward.y.data, backward.y.data));
  EXPECT_TRUE(same_bits(forward.mean, backward.mean));
}

TYPED_TEST(NormKernels, PartialsAgreeWithFp64) {
  for (int width : kWidths) {
    for (bool layer : {true, false}) {
      Data<TypeParam> data(width, layer);
      data.forward(0, kRows);
      auto size = static_cast<size_t>(width);
      std::vector<float> dweight(size, 0.5F);
      std::vector<float> dbias(size, 0.25F);
      data.fold({2, 2, 3, 7}, 0, dweight, dbias);
      for (size_t j = 0; j < size; ++j) {
        double weight_sum = 0.5;
        double bias_sum = 0.25;
        for (int64_t r = 0; r < kRows; ++r) {
          double d = data.dy(r, static_cast<int64_t>(j));
          weight_sum += d * Row(data, r).normal[j];
          bias_sum += layer ? d : 0;
        }
        expect_near(dweight[j], weight_sum, kRows);
        expect_near(dbias[j], bias_sum, kRows);
      }
    }
  }
}

TYPED_TEST(NormKernels, PiecesMayBeFoldedInSeveralCalls) {
  Data<TypeParam> data(130, true);
  data.forward(0, kRows);
  std::vector<float> dweight(130, 0.1F);
  std::vector<float> dbias(130, 0.3F);
  auto part_dweight = dweight;
  auto part_dbias = dbias;
  data.fold({2, 3, 7}, 0, dweight, dbias);
  data.fold({2, 3}, 0, part_dweight, part_dbias);
  data.fold({4}, 3, part_dweight, part_dbias);
  EXPECT_TRUE(same_bits(dweight, part_dweight));
  EXPECT_TRUE(same_bits(dbias, part_dbias));
  // Control: other pieces are other sums.
  auto other = std::vector<float>(130, 0.1F);
  data.fold({1, 7}, 0, other, part_dbias);
  EXPECT_FALSE(same_bits(dweight, other));
}

} // namespace
} // namespace accrue::tensor::cuda
