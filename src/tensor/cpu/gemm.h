// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tensor/type.h"

namespace accrue::tensor {

/// A matrix to be read. Element (i, j) is at data[i * row_stride + j *
/// col_stride]; one of the strides is 1.
struct Matrix {
  const void* data = nullptr;
  Type type = Type::kF32;
  int64_t row_stride = 0;
  int64_t col_stride = 1;

  Matrix transposed() const {
    return {data, type, col_stride, row_stride};
  }
};

/// A matrix to be written. Elements of a row are adjacent.
struct MutableMatrix {
  void* data = nullptr;
  Type type = Type::kF32;
  int64_t row_stride = 0;

  // Implicit: what one product writes, the next one reads.
  operator Matrix() const {
    return {data, type, row_stride};
  }
};

/// C = A·B + bias (k > 0), or C += A·B.
///
/// The sum over k is split into segments; each is summed from 0 in order of k
/// and then added to C. So C += Xᵀ·dY with one segment per sample is the left
/// fold over samples G ← G + XₛᵀdYₛ, however many of them are in the call.
struct Gemm {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  Matrix a; // [m, k]
  Matrix b; // [k, n]
  const void* packed_b = nullptr; // output of pack() for b, or nullptr
  MutableMatrix c; // out [m, n]: the sum type of `compute`, or kBf16 unless add
  Type compute = Type::kF32; // type to which A and B are converted
  const void* bias = nullptr; // [n] of the sum type
  bool add = false;
  /// Elements (i, j) with j > i + diagonal may be left out; afterwards they
  /// hold any value.
  int64_t diagonal = int64_t{1} << 62;
  /// Ends of the segments in k, the last one k, none longer than
  /// segment_limit(compute); nullptr: segments as long as possible.
  const int64_t* segment_ends = nullptr;
};

} // namespace accrue::tensor
