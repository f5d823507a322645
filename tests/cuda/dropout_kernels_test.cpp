// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "kernel_support.h"

namespace accrue::tensor::cuda {
namespace {

template <class T>
class DropoutKernels : public testing::Test {};
TYPED_TEST_SUITE(DropoutKernels, ElementTypes);

constexpr uint64_t kSite = 7;
constexpr uint64_t kThreshold = 0x4ccccccc; // p = 0.3
constexpr float kScale = 1 / 0.7F;
const std::vector<int> kOffsets = {0, 0, 3, 4, 4, 9}; // with empty samples
const std::vector<uint64_t> kIds = {5, 11, uint64_t{1} << 40, 2, 3};

/// Computes rows [begin, end) of the micro-batch, which are all rows of x.
template <class T>
void drop(
    const Matrix<float>& x,
    const Matrix<float>* base,
    T* y,
    int64_t y_stride,
    int64_t first_row,
    unsigned threads,
    uint64_t threshold = kThreshold,
    float scale = kScale) {
  run(name_of<T>("dropout"),
      Grid{static_cast<unsigned>(x.rows), 1, threads},
      x.at(0),
      x.stride,
      base != nullptr ? base->at(0) : nullptr,
      base != nullptr ? base->stride : int64_t{0},
      y,
      y_stride,
      kOffsets.data(),
      kIds.data(),
      static_cast<int>(kIds.size()),
      first_row,
      mix(/*seed=*/1, /*step=*/2),
      kSite,
      threshold,
      scale,
      static_cast<int>(x.width));
}

/// Whether an element of a row of the micro-batch is dropped.
bool dropped(int64_t row, int64_t c, int64_t width) {
  size_t s = 0;
  while (row >= kOffsets[s + 1]) {
    ++s;
  }
  uint64_t key = mix(mix(1, 2), mix(kIds[s], kSite));
  auto element = static_cast<uint64_t>((row - kOffsets[s]) * width + c);
  auto words = philox(
      {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)},
      {static_cast<uint32_t>(element / 4), 0, 0, 0});
  return words[element % 4] < kThreshold;
}

TYPED_TEST(DropoutKernels, MasksAreThoseOfPhilox) {
  using T = TypeParam;
  for (int width : kWidths) {
    for (unsigned threads : {1U, 32U, 50U}) {
      for (bool has_base : {false, true}) {
        Matrix<float> x(6, width, 1);
        Matrix<float> base(6, width, 2);
        Matrix<T> y(6, width);
        drop(x, has_base ? &base : nullptr, y.at(0), y.stride, 2, threads);
        for (int r = 0; r < 6; ++r) {
          for (int c = 0; c < width; ++c) {
            float rest = has_base ? *base.at(r, c) : 0;
            float expected = dropped(r + 2, c, width)
                ? rest
                : std::fma(*x.at(r, c), kScale, rest);
            EXPECT_EQ(y(r, c), to_double(from_double<T>(expected)));
          }
        }
        EXPECT_TRUE(y.gaps_are_whole());
      }
    }
  }
}

TEST(DropoutKernels, ResultMayReplaceItsInput) {
  Matrix<float> x(9, 31, 1);
  Matrix<float> base(9, 31, 2);
  Matrix<float> y(9, 31);
  drop(x, &base, y.at(0), y.stride, 0, 32);
  Matrix<float> in_place = x;
  drop(in_place, &base, in_place.at(0), in_place.stride, 0, 32);
  EXPECT_TRUE(same_bits(y.data, in_place.data));
}

TYPED_TEST(DropoutKernels, RowsDoNotDependOnTheChunk) {
  using T = TypeParam;
  Matrix<float> x(9, 31, 1);
  Matrix<T> whole(9, 31);
  Matrix<T> parts(9, 31);
  drop(x, nullptr, whole.at(0), whole.stride, 0, 32);
  for (int64_t r = 0; r < 9; ++r) {
    Matrix<float> row(1, 31);
    std::copy(x.at(r), x.at(r) + 31, row.at(0));
    drop(row, nullptr, parts.at(r), parts.stride, r, 32);
  }
  EXPECT_TRUE(same_bits(whole.data, parts.data));
}

/// Returns fp32 values whose upper half has these bits, with lower halves that
/// are at, near and between ties.
Matrix<float> values_near_ties() {
  std::vector<uint32_t> low = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
  std::vector<uint32_t> high;
  for (uint32_t h = 0; h < 0x10000; h += 13) {
    high.push_back(h);
  }
  for (uint32_t h : {0x7f7f, 0x7f80, 0x7fc0, 0x7fff, 0xff7f, 0xff80, 0xffff}) {
    high.push_back(h);
  }
  Matrix<float> x(1, static_cast<int64_t>(high.size() * low.size()));
  int64_t c = 0;
  for (uint32_t h : high) {
    for (uint32_t l : low) {
      *x.at(0, c++) = std::bit_cast<float>(h << 16 | l);
    }
  }
  return x;
}

TEST(Conversion, RoundsToTheNearestBf16) {
  Matrix<float> x = values_near_ties();
  Matrix<float> base = x;
  for (float& value : base.data) {
    value = std::signbit(value) ? -0.0F : 0.0F; // keeps the sign of 0
  }
  Matrix<Bf16> y(1, x.width);
  drop(x, &base, y.at(0), y.stride, 0, 64, /*threshold=*/0, /*scale=*/1);
  for (int64_t c = 0; c < x.width; ++c) {
    float value = *x.at(0, c);
    Bf16 expected = std::isnan(value) ? Bf16{0x7fc0}
        : std::isinf(value)
        ? Bf16{static_cast<uint16_t>(std::signbit(value) ? 0xff80 : 0x7f80)}
        : from_double<Bf16>(value);
    EXPECT_EQ(y.at(0, c)->bits, expected.bits) << value;
  }
}

} // namespace
} // namespace accrue::tensor::cuda
