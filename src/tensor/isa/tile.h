#pragma once

#include "tensor/isa/pack.h"

// The inside of a matrix product: a tile of C from a panel of A and one of B.

namespace accrue::tensor::ACCRUE_ISA {

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Segments that are packed together.
struct Block {
  int64_t begin = 0; // in k
  int64_t end = 0;
  int64_t words = 0;
  int64_t num_segments = 0;
  const int64_t* ends = nullptr; // of the segments, in k
};

/// c [kTileRows, W vectors]: init + the first segment if there is an init, else
/// c += it; then the other segments are added in turn.
template <class F, int W>
void tile(
    const Block& block,
    const typename F::Word* a,
    const typename F::Word* b,
    typename F::Sum* c,
    int64_t c_stride,
    const typename F::Sum* init) {
  constexpr int64_t kRows = F::kTileRows;
  using Sums = Vector<typename F::Sum>;
  using Words = Vector<typename F::Word>;
  constexpr int64_t kWidth = kLanes<typename F::Sum>;
  int64_t begin = block.begin;
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) { // wanted at the end, for writing
#pragma GCC unroll 4
    for (int v = 0; v < W; ++v) {
      __builtin_prefetch(c + i * c_stride + v * kWidth, 1);
    }
  }
  for (int64_t s = 0; s < block.num_segments; ++s) {
    int64_t words = words_of<F>(block.ends[s] - begin);
    begin = block.ends[s];
    Sums sum[kRows][W] = {};
    for (int64_t k = 0; k < words; ++k) {
      Words columns[W];
#pragma GCC unroll 4
      for (int v = 0; v < W; ++v) {
        columns[v] = load<Words>(b + v * kWidth);
      }
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) {
          sum[i][v] = F::madd(a[i], columns[v], sum[i][v]);
        }
      }
      a += kRows;
      b += W * kWidth;
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < W; ++v) {
        typename F::Sum* to = c + i * c_stride + v * kWidth;
        store(
            to,
            load<Sums>(init != nullptr ? init + v * kWidth : to) + sum[i][v]);
      }
    }
    init = nullptr;
  }
}

/// A tile that sticks out of C goes through a buffer.
template <class F, int W>
void edge_tile(
    int64_t rows,
    int64_t columns,
    const Block& block,
    const typename F::Word* a,
    const typename F::Word* b,
    typename F::Sum* c,
    int64_t c_stride,
    const typename F::Sum* init) {
  constexpr int64_t kStride = W * kLanes<typename F::Sum>;
  using Sum = typename F::Sum;
  // Mostly only rows are missing: then copies have a fixed length.
  auto copy = [columns](const Sum* from, Sum* to) {
    if (columns == kStride) {
      __builtin_memcpy(to, from, kStride * sizeof(Sum));
    } else {
      for (int64_t j = 0; j < columns; ++j) {
        to[j] = from[j];
      }
    }
  };
  Sum buffer[F::kTileRows * kStride] = {};
  Sum start[kStride] = {};
  if (init != nullptr) {
    copy(init, start);
  } else {
    for (int64_t i = 0; i < rows; ++i) {
      copy(c + i * c_stride, buffer + i * kStride);
    }
  }
  tile<F, W>(block, a, b, buffer, kStride, init != nullptr ? start : nullptr);
  for (int64_t i = 0; i < rows; ++i) {
    copy(buffer + i * kStride, c + i * c_stride);
  }
}

} // namespace accrue::tensor::ACCRUE_ISA
