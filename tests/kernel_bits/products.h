// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "inputs.h"
#include "tensor/cpu/kernels.h"

namespace accrue::kernel_bits {

using tensor::Gemm;
using tensor::Kernels;
using tensor::Matrix;
using tensor::Type;

struct Shape {
  int64_t m, n, k;
};
inline constexpr Shape kShapes[] = {
    {1, 1, 1},
    {7, 50, 33},
    {6, 48, 256},
    {67, 64, 300},
    {13, 257, 1030},
    {130, 777, 40}};

/// Products in every layout, from fp32 and bf16 in memory, with and without a
/// bias, folded in segments, into fp32 and bf16.
inline void products(
    const Kernels& kernels,
    Type compute,
    bool extreme,
    Digest& digest) {
  for (const Shape& s : kShapes) {
    for (int layout = 0; layout < 8; ++layout) {
      const bool from_bf16 = layout >= 4;
      auto make = [&](uint64_t key, int64_t count) {
        return extreme ? every_exponent(key, count, 60) : uniform(key, count);
      };
      std::vector<float> a = make(1, s.m * s.k);
      std::vector<float> b = make(2, s.k * s.n);
      std::vector<float> bias = make(3, s.n);
      std::vector<uint16_t> low_a = bf16(a);
      std::vector<uint16_t> low_b = bf16(b);
      std::vector<float> c(static_cast<size_t>(s.m * s.n));
      auto matrix = [&](const void* wide,
                        const void* low,
                        int64_t rows,
                        int64_t columns,
                        bool transposed) {
        Matrix m{
            from_bf16 ? low : wide,
            from_bf16 ? Type::kBf16 : Type::kF32,
            transposed ? rows : columns,
            1};
        return transposed ? m.transposed() : m;
      };
      Gemm gemm;
      gemm.m = s.m;
      gemm.n = s.n;
      gemm.k = s.k;
      gemm.compute = compute;
      gemm.a = matrix(a.data(), low_a.data(), s.m, s.k, (layout & 1) != 0);
      gemm.b = matrix(b.data(), low_b.data(), s.k, s.n, (layout & 2) != 0);
      gemm.c = {c.data(), Type::kF32, s.n};
      gemm.bias = bias.data();
      kernels.gemm(gemm);
      digest.add(c);
      std::vector<char> packed(kernels.packed_bytes(gemm));
      kernels.pack(gemm, packed.data());
      std::vector<float> again(c.size());
      gemm.packed_b = packed.data();
      gemm.c.data = again.data();
      kernels.gemm(gemm);
      digest.add(again);
      gemm.packed_b = nullptr;
      gemm.c.data = c.data();
      std::vector<int64_t> ends;
      for (int64_t end = 0, length = 1; end < s.k; ++length) {
        end = std::min(end + length, s.k);
        ends.push_back(end);
      }
      gemm.bias = nullptr;
      gemm.add = true;
      gemm.segment_ends = ends.data();
      kernels.gemm(gemm);
      digest.add(c);
      if (compute == Type::kBf16) {
        std::vector<uint16_t> out(c.size());
        gemm.add = false;
        gemm.segment_ends = nullptr;
        gemm.c = {out.data(), Type::kBf16, s.n};
        kernels.gemm(gemm);
        digest.add(out);
      }
    }
  }
}

} // namespace accrue::kernel_bits
