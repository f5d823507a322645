// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/cpu/isa/panels.h"

// The innermost part of a matrix product: one tile of C is computed from a
// panel of A and a panel of B.

namespace accrue::tensor::ACCRUE_ISA {

/// A tile of C and its factors. C becomes init + the first segment if there is
/// an init, else C += the first segment; then the other segments are added in
/// turn.
template <class F>
struct Tile {
  int64_t rows; // at most kTileRows
  int64_t columns; // at most those of the panel of B
  const Block& block;
  const typename F::Word* a;
  const typename F::Word* b;
  typename F::Sum* c; // in, out
  int64_t c_stride;
  const typename F::Sum* init; // [columns] or nullptr
};

/// Computes a whole tile, of kTileRows and W vectors.
template <class F, int W>
__attribute__((noinline)) static void whole_tile(const Tile<F>& tile) {
  constexpr int64_t kRows = F::kTileRows;
  using Sums = Vector<typename F::Sum>;
  using Words = Vector<typename F::Word>;
  constexpr int64_t kWidth = kLanes<typename F::Sum>;
  const Block& block = tile.block;
  const typename F::Word* a = tile.a;
  const typename F::Word* b = tile.b;
  typename F::Sum* c = tile.c;
  const int64_t c_stride = tile.c_stride;
  const typename F::Sum* init = tile.init;
  int64_t begin = block.begin;
  // C is written at the end.
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) {
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

/// Computes a tile that sticks out of C, by way of a buffer.
template <class F, int W>
__attribute__((noinline)) static void edge_tile(const Tile<F>& tile) {
  using Sum = typename F::Sum;
  constexpr int64_t kStride = W * kLanes<Sum>;
  const int64_t columns = tile.columns;
  // Most edge tiles lack rows only, and copies of whole rows have a fixed
  // length.
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
  Sum init[kStride] = {};
  Tile<F> whole = tile;
  whole.c = buffer;
  whole.c_stride = kStride;
  if (tile.init != nullptr) {
    copy(tile.init, init);
    whole.init = init;
  } else {
    for (int64_t i = 0; i < tile.rows; ++i) {
      copy(tile.c + i * tile.c_stride, buffer + i * kStride);
    }
  }
  whole_tile<F, W>(whole);
  for (int64_t i = 0; i < tile.rows; ++i) {
    copy(buffer + i * kStride, tile.c + i * tile.c_stride);
  }
}

template <class F, int W>
ACCRUE_INLINE void compute_tile(const Tile<F>& tile) {
  if (tile.rows == F::kTileRows &&
      tile.columns == W * kLanes<typename F::Sum>) {
    whole_tile<F, W>(tile);
  } else {
    edge_tile<F, W>(tile);
  }
}

} // namespace accrue::tensor::ACCRUE_ISA
