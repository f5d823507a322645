#include "tensor/isa/math.h"

namespace accrue::tensor::ACCRUE_ISA {
namespace {

template <class T>
void softmax_row(T* s, int64_t length, int64_t columns, T scale, T* logsumexp) {
  T most = s[0];
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < length; ++j) {
    most = s[j] > most ? s[j] : most;
  }
  for (int64_t j = 0; j < length; ++j) {
    s[j] = exponential(scale * (s[j] - most));
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
  *logsumexp = fma(scale, most, logarithm(total));
}

template <class T>
void rotate_row(
    int64_t heads,
    int64_t dim,
    const SumOf<T>* cos,
    const SumOf<T>* sin,
    SumOf<T> sign,
    T* x) {
  int64_t half = dim / 2;
  for (int64_t h = 0; h < heads; ++h, x += dim) {
    for (int64_t i = 0; i < half; ++i) {
      auto low = widen(x[i]);
      auto high = widen(x[half + i]);
      auto turn = sign * sin[i];
      x[i] = narrow<T>(fma(low, cos[i], -(high * turn)));
      x[half + i] = narrow<T>(fma(high, cos[i], low * turn));
    }
  }
}

} // namespace

void softmax(const ScoreRows& rows) {
  with_sum_type(rows.type, [&]<class T>() {
    for (int64_t i = 0; i < rows.rows; ++i) {
      softmax_row<T>(
          at<T>(rows.scores) + i * rows.stride,
          rows.length + i,
          rows.columns,
          static_cast<T>(rows.scale),
          at<T>(rows.logsumexp) + i);
    }
  });
}

void softmax_backward(const ScoreRows& rows, const void* delta, void* dp) {
  with_sum_type(rows.type, [&]<class T>() {
    auto scale = static_cast<T>(rows.scale);
    for (int64_t i = 0; i < rows.rows; ++i) {
      T* p = at<T>(rows.scores) + i * rows.stride;
      T* d = at<T>(dp) + i * rows.stride;
      T lse = at<T>(rows.logsumexp)[i];
      T minus = at<T>(delta)[i];
      int64_t length = rows.length + i;
#pragma omp simd
      for (int64_t j = 0; j < length; ++j) {
        p[j] = exponential(fma(scale, p[j], -lse));
        d[j] = scale * p[j] * (d[j] - minus);
      }
      for (int64_t j = length; j < rows.columns; ++j) {
        p[j] = d[j] = 0;
      }
    }
  });
}

void row_products(
    Type type,
    int64_t rows,
    int64_t columns,
    const void* o,
    int64_t o_stride,
    const void* d,
    int64_t d_stride,
    void* delta) {
  with_type(type, [&]<class T>() {
    for (int64_t i = 0; i < rows; ++i) {
      const T* left = at<T>(o) + i * o_stride;
      const auto* right = at<SumOf<T>>(d) + i * d_stride;
      at<SumOf<T>>(delta)[i] =
          sum_of<SumOf<T>>(columns, [&](auto read, auto sum) {
            return fma(read(left), read(right), sum);
          });
    }
  });
}

void rotate(
    Type type,
    int64_t rows,
    int64_t heads,
    int64_t dim,
    int64_t stride,
    const int64_t* positions,
    const void* cos,
    const void* sin,
    bool back,
    void* x) {
  with_type(type, [&]<class T>() {
    using S = SumOf<T>;
    for (int64_t i = 0; i < rows; ++i) {
      int64_t angle = positions[i] * (dim / 2);
      rotate_row<T>(
          heads,
          dim,
          at<S>(cos) + angle,
          at<S>(sin) + angle,
          back ? -1 : 1,
          at<T>(x) + i * stride);
    }
  });
}

} // namespace accrue::tensor::ACCRUE_ISA
