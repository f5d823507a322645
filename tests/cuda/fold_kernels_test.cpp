// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "kernel_support.h"

namespace accrue::tensor::cuda {
namespace {

template <class T>
class ColumnKernels : public testing::Test {};
TYPED_TEST_SUITE(ColumnKernels, ElementTypes);

/// Adds the rows of x from first_row on, 2 · ends[i] of them by the end of
/// piece i, to a sum.
template <class T>
void add_columns(
    const Matrix<T>& x,
    int64_t first_row,
    std::vector<int> ends,
    std::vector<float>& sum) {
  auto width = static_cast<int>(x.width);
  std::vector<float> partials(ends.size() * sum.size(), 99);
  run(name_of<T>("column_partials"),
      Grid{tiles(width, 64), static_cast<unsigned>(ends.size()), 64},
      x.at(first_row),
      x.stride,
      static_cast<const int*>(ends.data()),
      2,
      partials.data(),
      width);
  run("fold_partials",
      Grid{tiles(width, 32), 1, 32},
      static_cast<const float*>(partials.data()),
      static_cast<int>(ends.size()),
      sum.data(),
      width);
}

TYPED_TEST(ColumnKernels, AreSumsOfPiecesInOrder) {
  for (int width : kWidths) {
    Matrix<TypeParam> x(12, width, 1);
    std::vector<float> sum(static_cast<size_t>(width), 0.1F);
    add_columns(x, 0, {1, 4, 4, 6}, sum);
    for (int c = 0; c < width; ++c) {
      float expected = 0.1F;
      double exact = 0.1;
      for (auto [begin, end] : {std::pair(0, 2), {2, 8}, {8, 8}, {8, 12}}) {
        float piece = 0;
        for (int r = begin; r < end; ++r) {
          piece += static_cast<float>(x(r, c));
          exact += x(r, c);
        }
        expected += piece;
      }
      EXPECT_EQ(sum[static_cast<size_t>(c)], expected);
      expect_near(sum[static_cast<size_t>(c)], exact, 12);
    }
  }
}

TYPED_TEST(ColumnKernels, PiecesMayBeFoldedInSeveralCalls) {
  Matrix<TypeParam> x(12, 130, 1);
  std::vector<float> whole(130, 0.1F);
  std::vector<float> parts = whole;
  add_columns(x, 0, {1, 4, 5, 6}, whole);
  add_columns(x, 0, {1, 4}, parts);
  add_columns(x, 8, {1, 2}, parts);
  EXPECT_TRUE(same_bits(whole, parts));
}

/// Rows of a gradient of an embedding, added in order of the tokens.
struct Embedding {
  explicit Embedding(int width) : dy(20, width, 1), gradient(6, width, 2) {
    CounterRandom random(3);
    for (uint64_t t = 0; t < 20; ++t) {
      ids.push_back(static_cast<int64_t>(random.bits(t)[0] % 5));
    }
  }
  /// Returns what adding the tokens one after the other gives, for rows of the
  /// gradient that have these ids.
  Matrix<float> expected(const std::vector<int64_t>& row_ids) const {
    Matrix<float> result = gradient;
    for (int64_t t = 0; t < dy.rows; ++t) {
      auto row = std::ranges::find(row_ids, ids[static_cast<size_t>(t)]);
      for (int64_t c = 0; c < dy.width && row != row_ids.end(); ++c) {
        *result.at(row - row_ids.begin(), c) += *dy.at(t, c);
      }
    }
    return result;
  }

  Matrix<float> dy;
  Matrix<float> gradient;
  std::vector<int64_t> ids;
};

TEST(EmbeddingKernels, RowsAreAddedInOrderOfTokens) {
  for (int width : kWidths) {
    for (unsigned positions : {1U, 3U, 20U, 40U}) {
      Embedding e(width);
      auto expected = e.expected({0, 1, 2, 3, 4, 5});
      std::vector<int64_t> order(20);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(
          order, {}, [&](int64_t t) { return e.ids[static_cast<size_t>(t)]; });
      std::vector<int64_t> sorted;
      for (int64_t t : order) {
        sorted.push_back(e.ids[static_cast<size_t>(t)]);
      }
      run("embed_fold",
          Grid{tiles(width, 32), positions, 32},
          static_cast<const int64_t*>(sorted.data()),
          static_cast<const int64_t*>(order.data()),
          20,
          std::as_const(e.dy).at(0),
          e.dy.stride,
          e.gradient.at(0),
          e.gradient.stride,
          width);
      EXPECT_TRUE(same_bits(e.gradient.data, expected.data));
    }
  }
}

TEST(EmbeddingKernels, TrainedRowsAreAddedInOrderOfTokens) {
  for (int width : kWidths) {
    Embedding e(width);
    const std::vector<int64_t> trained = {4, 1, 77};
    auto expected = e.expected(trained);
    run("embed_rows_fold",
        Grid{tiles(width, 96), 3, 96},
        static_cast<const int64_t*>(e.ids.data()),
        20,
        trained.data(),
        std::as_const(e.dy).at(0),
        e.dy.stride,
        e.gradient.at(0),
        e.gradient.stride,
        width);
    EXPECT_TRUE(same_bits(e.gradient.data, expected.data));
  }
}

template <class T>
void expect_squares(int64_t count) {
  std::vector<float> values = normal_values(count, 1);
  std::vector<T> x;
  for (float value : values) {
    x.push_back(from_double<T>(value));
  }
  constexpr int64_t kPart = 1 << 16;
  std::vector<double> parts(static_cast<size_t>((count + kPart - 1) / kPart));
  run(name_of<T>("square_parts"),
      Grid{static_cast<unsigned>(parts.size()), 1, 256},
      static_cast<const T*>(x.data()),
      count,
      parts.data());
  for (size_t p = 0; p < parts.size(); ++p) {
    double sum = 0;
    for (size_t i = p * kPart; i < std::min((p + 1) * kPart, x.size()); ++i) {
      sum += to_double(x[i]) * to_double(x[i]);
    }
    EXPECT_NEAR(parts[p] / sum, 1, 1e-12);
  }
}

TEST(SquareKernels, AgreeWithFp64) {
  for (int64_t count : {1, 1000, 65536, 150001}) {
    expect_squares<float>(count);
    expect_squares<Bf16>(count);
    expect_squares<double>(count);
  }
}

} // namespace
} // namespace accrue::tensor::cuda
