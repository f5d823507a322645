// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <numbers>

#include "accrue/tensor/activation.h"
#include "kernel_support.h"

namespace accrue::tensor::cuda {
namespace {

/// Value of an activation in fp64.
double value(Activation kind, double x) {
  switch (kind) {
    case Activation::kGeluTanh:
      return 0.5 * x *
          (1 +
           std::tanh(
               std::sqrt(2 / std::numbers::pi) *
               (x + 0.044715 * std::pow(x, 3))));
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}
/// Derivative, a central difference with an error of about 1e-10.
double slope(Activation kind, double x) {
  constexpr double kStep = 1e-5;
  return (value(kind, x + kStep) - value(kind, x - kStep)) / (2 * kStep);
}

constexpr Activation kActivations[] = {
    Activation::kGeluTanh,
    Activation::kGelu,
    Activation::kSilu};

template <class T>
class ElementKernels : public testing::Test {};
TYPED_TEST_SUITE(ElementKernels, ElementTypes);

template <class T>
void activate(
    const Matrix<T>& x,
    Matrix<T>& y,
    int width,
    Activation kind,
    bool gated,
    const Grid& grid) {
  run(name_of<T>("activate"),
      grid,
      x.at(0),
      x.stride,
      y.at(0),
      y.stride,
      x.rows,
      width,
      static_cast<int>(kind),
      int{gated});
}

template <class T>
void activate_backward(
    Matrix<T>& x,
    Matrix<T>& dx,
    int width,
    Activation kind,
    bool gated,
    const Grid& grid) {
  run(name_of<T>("activate_backward"),
      grid,
      x.at(0),
      x.stride,
      dx.at(0),
      dx.stride,
      x.rows,
      width,
      static_cast<int>(kind),
      int{gated});
}

TYPED_TEST(ElementKernels, ActivationsAgreeWithFp64) {
  using T = TypeParam;
  for (Activation kind : kActivations) {
    for (bool gated : {false, true}) {
      for (int width : kWidths) {
        const int all = gated ? 2 * width : width;
        Matrix<T> x(5, all, 1);
        Matrix<T> dx(5, all, 2);
        const Matrix<T> x0 = x;
        const Matrix<T> dx0 = dx;
        Matrix<T> y(5, width);
        // Fewer blocks than rows: blocks have several rows.
        activate(x, y, width, kind, gated, {tiles(width, 64), 2, 64});
        activate_backward(x, dx, width, kind, gated, {tiles(width, 96), 3, 96});
        for (int r = 0; r < 5; ++r) {
          for (int c = 0; c < width; ++c) {
            double f = value(kind, x0(r, c));
            double df = slope(kind, x0(r, c));
            double up = gated ? x0(r, width + c) : 1;
            double dy = dx0(r, gated ? width + c : c);
            expect_near(*y.at(r, c), f * up);
            EXPECT_EQ(x(r, c), y(r, c));
            expect_near(*dx.at(r, c), dy * up * df);
            if (gated) {
              expect_near(*dx.at(r, width + c), dy * f);
              EXPECT_EQ(x(r, width + c), x0(r, width + c));
            }
          }
        }
        EXPECT_TRUE(
            x.gaps_are_whole() && dx.gaps_are_whole() && y.gaps_are_whole());
      }
    }
  }
}

TYPED_TEST(ElementKernels, ActivationsOfLargeValuesAreFinite) {
  using T = TypeParam;
  for (Activation kind : kActivations) {
    Matrix<T> x(1, 6);
    Matrix<T> dx(1, 6, 2);
    const double inputs[] = {-3e38, -200, -20, 20, 200, 1e30};
    for (int c = 0; c < 6; ++c) {
      *x.at(0, c) = from_double<T>(inputs[c]);
      *dx.at(0, c) = from_double<T>(1);
    }
    activate_backward(x, dx, 6, kind, false, {1, 1, 32});
    for (int c = 0; c < 6; ++c) {
      EXPECT_NEAR(dx(0, c), c < 3 ? 0 : 1, 1e-6);
      double expected = c < 3 ? 0 : inputs[c];
      EXPECT_NEAR(x(0, c), expected, 1e-6 + 0.01 * expected);
    }
  }
}

TYPED_TEST(ElementKernels, RotationsAgreeWithFp64) {
  using T = TypeParam;
  for (auto [heads, dim] : {std::pair(1, 2), {3, 10}, {5, 64}}) {
    const int half = dim / 2;
    Matrix<T> x(6, (heads + 2) * dim, 1); // columns of values are left alone
    const Matrix<T> before = x;
    const std::vector<int64_t> positions = {0, 1, 2, 0, 8, 3};
    std::vector<float> cosine;
    std::vector<float> sine;
    for (int p = 0; p < 9; ++p) {
      for (int i = 0; i < half; ++i) {
        double angle = p * std::pow(10000, -1.0 * i / half);
        cosine.push_back(static_cast<float>(std::cos(angle)));
        sine.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    auto rotate = [&, heads = heads, dim = dim](int inverse) {
      run(name_of<T>("rotate"),
          Grid{tiles(heads * half, 32), 4, 32},
          x.at(0),
          x.stride,
          heads,
          dim,
          positions.data(),
          static_cast<const float*>(cosine.data()),
          static_cast<const float*>(sine.data()),
          x.rows,
          inverse);
    };
    rotate(0);
    for (int r = 0; r < 6; ++r) {
      for (int c = 0; c < x.width; ++c) {
        double expected = before(r, c);
        if (c < heads * dim) {
          auto angle = static_cast<size_t>(
              positions[static_cast<size_t>(r)] * half + c % half);
          bool low = c % dim < half;
          expected = before(r, c) * cosine[angle] +
              (low ? -before(r, c + half) : before(r, c - half)) * sine[angle];
        }
        expect_near(*x.at(r, c), expected);
      }
    }
    EXPECT_TRUE(x.gaps_are_whole());
    rotate(1);
    for (int r = 0; r < 6; ++r) {
      for (int c = 0; c < x.width; ++c) {
        EXPECT_NEAR(x(r, c), before(r, c), 8 * kTolerance<T>);
      }
    }
  }
}

TEST(AdamWKernel, AgreesWithFp64) {
  for (int64_t count : {1, 1000}) {
    const std::vector<float> g = normal_values(count, 1);
    std::vector<float> p = normal_values(count, 2);
    std::vector<float> m = normal_values(count, 3);
    std::vector<float> v = normal_values(count, 4);
    for (float& x : v) {
      x *= x;
    }
    const auto p0 = p;
    const auto m0 = m;
    const auto v0 = v;
    const double lr = 1e-3;
    const double epsilon = 0.1;
    const double beta1 = 0.9;
    const double beta2 = 0.99;
    const double correction1 = 1 - std::pow(beta1, 3);
    const double correction2 = 1 - std::pow(beta2, 3);
    run("adamw",
        Grid{2, 1, 96}, // threads have several elements
        g.data(),
        p.data(),
        m.data(),
        v.data(),
        count,
        static_cast<float>(1 - lr * 0.1),
        static_cast<float>(1 - beta1),
        static_cast<float>(beta2),
        static_cast<float>(1 - beta2),
        static_cast<float>(lr / correction1),
        static_cast<float>(std::sqrt(correction2)),
        static_cast<float>(epsilon));
    for (size_t i = 0; i < g.size(); ++i) {
      double average = beta1 * m0[i] + (1 - beta1) * g[i];
      double square = beta2 * v0[i] + (1 - beta2) * g[i] * g[i];
      double step =
          average / correction1 / (std::sqrt(square / correction2) + epsilon);
      EXPECT_NEAR(m[i], average, 1e-6);
      EXPECT_NEAR(v[i], square, 1e-6 * (1 + square));
      EXPECT_NEAR(p[i], p0[i] * (1 - lr * 0.1) - lr * step, 1e-6);
    }
  }
}

} // namespace
} // namespace accrue::tensor::cuda
