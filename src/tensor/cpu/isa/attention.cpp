// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/isa/math.h"

namespace accrue::tensor::ACCRUE_ISA {
namespace {

template <class T>
void softmax_row(const ScoreRows& rows, int64_t row) {
  T* s = at<T>(rows.scores) + row * rows.stride;
  const int64_t length = rows.length + row;
  const int64_t columns = rows.columns;
  const auto scale = static_cast<T>(rows.scale);
  T max = s[0];
#pragma omp simd reduction(max : max)
  for (int64_t j = 0; j < length; ++j) {
    max = s[j] > max ? s[j] : max;
  }
  for (int64_t j = 0; j < length; ++j) {
    s[j] = exponential(scale * (s[j] - max));
  }
  T total =
      sum_of<T>(length, [&](auto read, auto sum) { return sum + read(s); });
  T inverse = 1 / total;
  for (int64_t j = 0; j < length; ++j) {
    s[j] *= inverse;
  }
  for (int64_t j = length; j < columns; ++j) {
    s[j] = 0;
  }
  at<T>(rows.logsumexp)[row] = fma(scale, max, logarithm(total));
}

template <class T>
void rotate_row(const RotaryRows& rows, int64_t row) {
  using Sum = SumOf<T>;
  const int64_t half = rows.dim / 2;
  const int64_t angle = rows.positions[row] * half;
  const Sum* cos = at<Sum>(rows.cos) + angle;
  const Sum* sin = at<Sum>(rows.sin) + angle;
  const Sum sign = rows.inverse ? -1 : 1;
  T* x = at<T>(rows.x) + row * rows.stride;
  for (int64_t h = 0; h < rows.heads; ++h, x += rows.dim) {
    for (int64_t i = 0; i < half; ++i) {
      auto low = widen(x[i]);
      auto high = widen(x[half + i]);
      auto signed_sin = sign * sin[i];
      x[i] = round_to<T>(fma(low, cos[i], -(high * signed_sin)));
      x[half + i] = round_to<T>(fma(high, cos[i], low * signed_sin));
    }
  }
}

} // namespace

void softmax(const ScoreRows& s) {
  with_sum_type(s.type, [&]<class T>() {
    for (int64_t i = 0; i < s.rows; ++i) {
      softmax_row<T>(s, i);
    }
  });
}

void softmax_backward(const ScoreRows& s, const void* delta, void* dp) {
  with_sum_type(s.type, [&]<class T>() {
    auto scale = static_cast<T>(s.scale);
    for (int64_t i = 0; i < s.rows; ++i) {
      T* p = at<T>(s.scores) + i * s.stride;
      T* d = at<T>(dp) + i * s.stride;
      T lse = at<T>(s.logsumexp)[i];
      T mean = at<T>(delta)[i];
      int64_t length = s.length + i;
#pragma omp simd
      for (int64_t j = 0; j < length; ++j) {
        p[j] = exponential(fma(scale, p[j], -lse));
        d[j] = scale * p[j] * (d[j] - mean);
      }
      for (int64_t j = length; j < s.columns; ++j) {
        p[j] = d[j] = 0;
      }
    }
  });
}

void row_products(const RowProducts& r) {
  with_type(r.type, [&]<class T>() {
    using Sum = SumOf<T>;
    for (int64_t i = 0; i < r.rows; ++i) {
      const T* o = at<T>(r.o) + i * r.o_stride;
      const Sum* d = at<Sum>(r.d) + i * r.d_stride;
      at<Sum>(r.products)[i] = sum_of<Sum>(r.columns, [&](auto read, auto sum) {
        return fma(read(o), read(d), sum);
      });
    }
  });
}

void rotate(const RotaryRows& r) {
  with_type(r.type, [&]<class T>() {
    for (int64_t i = 0; i < r.rows; ++i) {
      rotate_row<T>(r, i);
    }
  });
}

} // namespace accrue::tensor::ACCRUE_ISA
