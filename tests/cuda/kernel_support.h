// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "accrue/core/random.h"
#include "emulator.h"

namespace accrue::tensor::cuda {

struct Bf16 {
  uint16_t bits;
};

inline double to_double(Bf16 x) {
  return std::bit_cast<float>(uint32_t{x.bits} << 16);
}
inline double to_double(float x) {
  return x;
}
inline double to_double(double x) {
  return x;
}

template <class T>
T from_double(double x) {
  return static_cast<T>(x);
}
/// Returns the nearer of the two neighbours of a finite x, the even one if both
/// are as near: another way than that of the kernels.
template <>
inline Bf16 from_double<Bf16>(double x) {
  auto bits = std::bit_cast<uint32_t>(static_cast<float>(x)) >> 16;
  Bf16 low{static_cast<uint16_t>(bits)}; // nearer to 0
  Bf16 high{static_cast<uint16_t>(bits + 1)};
  double below = std::abs(x - to_double(low));
  double above = std::isinf(to_double(high))
      ? std::abs(std::copysign(0x1p128, x) - x)
      : std::abs(to_double(high) - x);
  return below < above || (below == above && low.bits % 2 == 0) ? low : high;
}

/// Name of a kernel for elements of type T.
template <class T>
std::string name_of(const std::string& kernel) {
  return kernel + (sizeof(T) == 2 ? "_bf16" : sizeof(T) == 4 ? "_f32" : "_f64");
}

/// Largest relative error of a rounded result.
template <class T>
constexpr double kTolerance = sizeof(T) == 2 ? 0x1.01p-8 : 1e-5;

/// Checks a result whose terms are at most about `size`.
template <class T>
void expect_near(T actual, double expected, double size = 1) {
  EXPECT_NEAR(
      to_double(actual),
      expected,
      kTolerance<T> * std::abs(expected) + 1e-5 * size);
}

/// A matrix whose rows are not adjacent.
template <class T>
struct Matrix {
  Matrix(int64_t row_count, int64_t column_count)
      : rows(row_count),
        width(column_count),
        stride(column_count + 3),
        data(static_cast<size_t>(rows * stride), from_double<T>(kMarker)) {}

  /// Normal values.
  Matrix(int64_t row_count, int64_t column_count, uint64_t seed)
      : Matrix(row_count, column_count) {
    CounterRandom random(seed);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < width; ++c) {
        auto index = static_cast<uint64_t>(r * width + c);
        *at(r, c) = from_double<T>(random.normal(index)[0]);
      }
    }
  }

  T* at(int64_t r, int64_t c = 0) {
    return data.data() + r * stride + c;
  }
  const T* at(int64_t r, int64_t c = 0) const {
    return data.data() + r * stride + c;
  }
  double operator()(int64_t r, int64_t c) const {
    return to_double(*at(r, c));
  }

  /// Whether nothing was written between rows.
  bool gaps_are_whole() const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = width; c < stride; ++c) {
        if ((*this)(r, c) != kMarker) {
          return false;
        }
      }
    }
    return true;
  }

  static constexpr double kMarker = -1024;
  int64_t rows;
  int64_t width;
  int64_t stride;
  std::vector<T> data;
};

/// Values of a vector.
inline std::vector<float> normal_values(int64_t count, uint64_t seed) {
  CounterRandom random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(
        static_cast<float>(random.normal(static_cast<uint64_t>(i))[1]));
  }
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
      std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Number of blocks of `threads` threads for one thread per column.
inline unsigned tiles(int64_t columns, unsigned threads) {
  return (static_cast<unsigned>(columns) + threads - 1) / threads;
}

/// Runs a kernel forwards.
template <class... Arguments>
void run(const std::string& kernel, const Grid& grid, Arguments... arguments) {
  launch(emulator::Emulator(), kernel.c_str(), grid, arguments...);
}

constexpr int kWidths[] = {1, 31, 64, 130, 768};

using ElementTypes = testing::Types<float, Bf16>;

} // namespace accrue::tensor::cuda
