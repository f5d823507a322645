#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace accrue::tensor {

/// Element types. Sums of kBf16 are made in fp32.
enum class Type : uint8_t { kF32, kF64, kBf16 };

constexpr size_t size_of(Type type) {
  return type == Type::kF64 ? 8 : type == Type::kF32 ? 4 : 2;
}

/// What sums and gradients of `type` are made in.
constexpr Type sum_type(Type type) {
  return type == Type::kF64 ? Type::kF64 : Type::kF32;
}

/// Element (i, j) is at data[i * row_stride + j * col_stride]; one of the
/// strides is 1.
struct Matrix {
  const void* data = nullptr;
  Type type = Type::kF32;
  int64_t row_stride = 0;
  int64_t col_stride = 1;

  Matrix transposed() const {
    return {data, type, col_stride, row_stride};
  }
};

/// C = A·B + bias (k > 0), or C += A·B.
///
/// K is cut into segments; each is summed up from 0 in order of k and then
/// added to C. So C += Xᵀ·dY with one segment per sample is the left fold over
/// samples G ← G + XₛᵀdYₛ, however many of them are in the call.
struct Gemm {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  Matrix a; // [m, k]
  Matrix b; // [k, n]
  const void* packed_b = nullptr; // what pack() made of b, if anything
  void* c = nullptr; // [m, n]
  Type c_type = Type::kF32; // the sum type, or kBf16 unless `add`
  int64_t c_stride = 0; // between rows
  Type compute = Type::kF32; // what A and B are converted to
  const void* bias = nullptr; // [n] of the sum type
  bool add = false;
  /// Elements (i, j) with j > i + diagonal need not be made; afterwards they
  /// hold anything.
  int64_t diagonal = int64_t{1} << 62;
  /// Ends of the segments in k, none longer than segment_limit(compute);
  /// empty: as long as possible.
  std::span<const int64_t> segments;
};

/// Longest segment of a sum over k.
constexpr int64_t segment_limit(Type compute) {
  return 1024 / static_cast<int64_t>(size_of(compute));
}

} // namespace accrue::tensor
