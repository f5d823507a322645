#include "tensor/isa/isa.h"

#include <math.h>

namespace accrue::tensor::ACCRUE_ISA {
namespace {

/// Calls run<T>() with the type of memory.
template <class Run>
ACCRUE_INLINE void with_type(Type type, const Run& run) {
  switch (type) {
    case Type::kF64:
      return run.template operator()<double>();
    case Type::kF32:
      return run.template operator()<float>();
    case Type::kBf16:
      return run.template operator()<Bf16>();
  }
}

/// The same for memory of a sum type.
template <class Run>
ACCRUE_INLINE void with_sum_type(Type type, const Run& run) {
  if (type == Type::kF64) {
    run.template operator()<double>();
  } else {
    run.template operator()<float>();
  }
}

template <class T>
using SumOf = decltype(widen(T{}));

template <class T>
ACCRUE_INLINE T* at(void* data) {
  return static_cast<T*>(data);
}
template <class T>
ACCRUE_INLINE const T* at(const void* data) {
  return static_cast<const T*>(data);
}

// ---- functions ----------------------------------------------------------------

/// Within 2 units in the last place; below e^-87 it is e^-87. Cephes' expf:
/// e^x = 2^n · e^r with |r| <= ln 2 / 2.
ACCRUE_INLINE float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float kShift = 0x1.8p23F; // adding it rounds to an integer
  float shifted = x * 1.44269504F + kShift;
  float n = shifted - kShift;
  float r = x - n * 0.693359375F;
  r = r + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  auto exponent = (bit_cast<uint32_t>(shifted) - bit_cast<uint32_t>(kShift))
      << 23;
  return p * bit_cast<float>(exponent + (127U << 23));
}
ACCRUE_INLINE double exponential(double x) {
  return exp(x);
}
ACCRUE_INLINE float error_function(float x) {
  return erff(x);
}
ACCRUE_INLINE double error_function(double x) {
  return erf(x);
}
ACCRUE_INLINE float logarithm(float x) {
  return logf(x);
}
ACCRUE_INLINE double logarithm(double x) {
  return log(x);
}
ACCRUE_INLINE float root(float x) {
  return __builtin_sqrtf(x);
}
ACCRUE_INLINE double root(double x) {
  return __builtin_sqrt(x);
}

template <class T>
struct CurvePoint {
  T value;
  T slope;
};

/// GELU is arXiv 1606.08415; kGeluTanh is its approximation, x · σ(2u).
template <Curve curve, class T>
ACCRUE_INLINE CurvePoint<T> point(T x) {
  if constexpr (curve == Curve::kGelu) {
    T below = T(0.5) * (1 + error_function(x * T(M_SQRT1_2)));
    T density = T(M_2_SQRTPI * M_SQRT1_2 / 2) * exponential(T(-0.5) * x * x);
    return {x * below, below + x * density};
  } else if constexpr (curve == Curve::kGeluTanh) {
    constexpr T kScale = T(M_2_SQRTPI * M_SQRT1_2);
    T square = x * x;
    T u = kScale * x * (1 + T(0.044715) * square);
    T s = 1 / (1 + exponential(-2 * u));
    T du = kScale * (1 + T(3 * 0.044715) * square);
    T y = x * s;
    return {y, s + y * (1 - s) * 2 * du};
  } else {
    T s = 1 / (1 + exponential(-x));
    T y = x * s;
    return {y, s + y * (1 - s)};
  }
}

// ---- normalisation ------------------------------------------------------------

template <class T>
void norm_row(const NormRows& n, int64_t row, T* y) {
  const T* x = at<T>(n.x) + row * n.width;
  const T* weight = at<T>(n.weight);
  const T* bias = at<T>(n.bias);
  T mean = 0;
  if (bias != nullptr) {
#pragma omp simd reduction(+ : mean)
    for (int64_t i = 0; i < n.width; ++i) {
      mean += x[i];
    }
    mean /= static_cast<T>(n.width);
    at<T>(n.mean)[row] = mean;
  }
  T squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < n.width; ++i) {
    squares += (x[i] - mean) * (x[i] - mean);
  }
  T rstd =
      1 / root(squares / static_cast<T>(n.width) + static_cast<T>(n.epsilon));
  at<T>(n.rstd)[row] = rstd;
  if (bias != nullptr) {
    for (int64_t i = 0; i < n.width; ++i) {
      y[i] = (x[i] - mean) * rstd * weight[i] + bias[i];
    }
  } else {
    for (int64_t i = 0; i < n.width; ++i) {
      y[i] = x[i] * rstd * weight[i];
    }
  }
}

void norm(const NormRows& n, void* y) {
  with_sum_type(n.type, [&]<class T>() {
    for (int64_t row = 0; row < n.rows; ++row) {
      norm_row<T>(n, row, at<T>(y) + row * n.width);
    }
  });
}

template <class T>
void norm_row_backward(
    const NormRows& n,
    int64_t row,
    const T* dy,
    T* dx,
    T* dweight,
    T* dbias) {
  const T* x = at<T>(n.x) + row * n.width;
  const T* weight = at<T>(n.weight);
  const T mean = n.bias != nullptr ? at<T>(n.mean)[row] : 0;
  const T rstd = at<T>(n.rstd)[row];
  T along = 0; // the part of the gradient that changes the norm of x
  T common = 0; // and its mean
#pragma omp simd reduction(+ : along, common)
  for (int64_t i = 0; i < n.width; ++i) {
    T normal = (x[i] - mean) * rstd;
    T g = dy[i] * weight[i];
    along += g * normal;
    common += g;
  }
  along /= static_cast<T>(n.width);
  common = n.bias != nullptr ? common / static_cast<T>(n.width) : 0;
#pragma omp simd
  for (int64_t i = 0; i < n.width; ++i) {
    T normal = (x[i] - mean) * rstd;
    dx[i] += rstd * (dy[i] * weight[i] - common - normal * along);
    dweight[i] += dy[i] * normal;
    dbias[i] += dy[i];
  }
}

void norm_backward(const NormRows& n, const void* dy, void* dx, void* sums) {
  with_sum_type(n.type, [&]<class T>() {
    T* dweight = at<T>(sums);
    for (int64_t i = 0; i < 2 * n.width; ++i) {
      dweight[i] = 0;
    }
    for (int64_t row = 0; row < n.rows; ++row) {
      norm_row_backward<T>(
          n,
          row,
          at<T>(dy) + row * n.width,
          at<T>(dx) + row * n.width,
          dweight,
          dweight + n.width);
    }
  });
}

// ---- activation ---------------------------------------------------------------

template <class Run>
ACCRUE_INLINE void with_curve(Curve curve, const Run& run) {
  switch (curve) {
    case Curve::kGelu:
      return run.template operator()<Curve::kGelu>();
    case Curve::kGeluTanh:
      return run.template operator()<Curve::kGeluTanh>();
    case Curve::kSilu:
      return run.template operator()<Curve::kSilu>();
  }
}

template <Curve curve, class T>
void activate_values(int64_t count, const T* gate, const T* x, SumOf<T>* y) {
  if (gate == nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      y[i] = point<curve>(widen(x[i])).value;
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      y[i] = point<curve>(widen(gate[i])).value * widen(x[i]);
    }
  }
}

void activate(
    Curve curve,
    Type type,
    int64_t count,
    const void* gate,
    const void* x,
    void* y) {
  with_curve(curve, [&]<Curve c>() {
    with_type(type, [&]<class T>() {
      activate_values<c, T>(count, at<T>(gate), at<T>(x), at<SumOf<T>>(y));
    });
  });
}

template <Curve curve, class T>
void activate_gradients(
    int64_t count,
    const T* gate,
    const T* x,
    const SumOf<T>* dy,
    SumOf<T>* y,
    SumOf<T>* dgate,
    SumOf<T>* dx) {
  if (gate == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      auto p = point<curve>(widen(x[i]));
      y[i] = p.value;
      dx[i] = dy[i] * p.slope;
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      auto p = point<curve>(widen(gate[i]));
      SumOf<T> up = widen(x[i]);
      y[i] = p.value * up;
      dgate[i] = dy[i] * up * p.slope;
      dx[i] = dy[i] * p.value;
    }
  }
}

void activate_backward(
    Curve curve,
    Type type,
    int64_t count,
    const void* gate,
    const void* x,
    const void* dy,
    void* y,
    void* dgate,
    void* dx) {
  with_curve(curve, [&]<Curve c>() {
    with_type(type, [&]<class T>() {
      using S = SumOf<T>;
      activate_gradients<c, T>(
          count,
          at<T>(gate),
          at<T>(x),
          at<S>(dy),
          at<S>(y),
          at<S>(dgate),
          at<S>(dx));
    });
  });
}

// ---- attention ----------------------------------------------------------------

template <class T>
void softmax_row(T* s, int64_t length, int64_t columns, T scale, T* logsumexp) {
  T most = s[0];
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < length; ++j) {
    most = s[j] > most ? s[j] : most;
  }
  T total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t j = 0; j < length; ++j) {
    T e = exponential(scale * (s[j] - most));
    s[j] = e;
    total += e;
  }
  T inverse = 1 / total;
  for (int64_t j = 0; j < length; ++j) {
    s[j] *= inverse;
  }
  for (int64_t j = length; j < columns; ++j) {
    s[j] = 0;
  }
  *logsumexp = scale * most + logarithm(total);
}

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
        p[j] = exponential(scale * p[j] - lse);
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
      SumOf<T> sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < columns; ++j) {
        sum += widen(left[j]) * right[j];
      }
      at<SumOf<T>>(delta)[i] = sum;
    }
  });
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
      x[i] = narrow<T>(low * cos[i] - high * (sign * sin[i]));
      x[half + i] = narrow<T>(high * cos[i] + low * (sign * sin[i]));
    }
  }
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

// ---- loss, sums, dropout --------------------------------------------------------

/// A weighted loss as a multiple of 2⁻²⁴, so that sums of them in fp64 are
/// exact up to 2²⁹ and thus the same in any order. fp64 losses stay as they are.
ACCRUE_INLINE double exactly_summable(float loss, double weight) {
  return rint(loss * weight * 0x1p24) * 0x1p-24;
}
ACCRUE_INLINE double exactly_summable(double loss, double weight) {
  return loss * weight;
}

template <class T>
double loss_row(T* logits, int64_t vocab, int64_t target, double weight, bool g) {
  if (weight == 0) {
    for (int64_t j = 0; j < vocab && g; ++j) {
      logits[j] = 0;
    }
    return 0;
  }
  T most = logits[0];
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < vocab; ++j) {
    most = logits[j] > most ? logits[j] : most;
  }
  T wanted = logits[target];
  T total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t j = 0; j < vocab; ++j) {
    T e = exponential(logits[j] - most);
    logits[j] = e;
    total += e;
  }
  if (g) {
    T factor = static_cast<T>(weight) / total;
    for (int64_t j = 0; j < vocab; ++j) {
      logits[j] *= factor;
    }
    logits[target] -= static_cast<T>(weight);
  }
  return exactly_summable(logarithm(total) - (wanted - most), weight);
}

void loss(const LossRows& rows) {
  with_sum_type(rows.type, [&]<class T>() {
    for (int64_t i = 0; i < rows.rows; ++i) {
      rows.losses[i] = loss_row<T>(
          at<T>(rows.logits) + i * rows.vocab,
          rows.vocab,
          rows.targets[i],
          rows.weights[i],
          rows.gradient);
    }
  });
}

void sum_rows(
    Type type,
    int64_t rows,
    int64_t width,
    const void* x,
    int64_t stride,
    void* sums) {
  with_sum_type(type, [&]<class T>() {
    T* total = at<T>(sums);
    for (int64_t j = 0; j < width; ++j) {
      total[j] = 0;
    }
    for (int64_t i = 0; i < rows; ++i) {
      const T* row = at<T>(x) + i * stride;
      for (int64_t j = 0; j < width; ++j) {
        total[j] += row[j];
      }
    }
  });
}

/// Words of Philox 4x32-10 (doi 10.1145/2063384.2063405) for 16 counters that
/// follow each other: what accrue::philox gives, one after the other.
void random_words(uint64_t key, uint64_t counter, uint32_t (&out)[64]) {
  uint32_t c[4][16];
  for (uint32_t i = 0; i < 16; ++i) {
    c[0][i] = static_cast<uint32_t>(counter + i);
    c[1][i] = static_cast<uint32_t>((counter + i) >> 32);
    c[2][i] = c[3][i] = 0;
  }
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 16; ++i) {
      uint64_t p0 = uint64_t{0xD2511F53} * c[0][i];
      uint64_t p1 = uint64_t{0xCD9E8D57} * c[2][i];
      c[0][i] = static_cast<uint32_t>(p1 >> 32) ^ c[1][i] ^ key0;
      c[1][i] = static_cast<uint32_t>(p1);
      c[2][i] = static_cast<uint32_t>(p0 >> 32) ^ c[3][i] ^ key1;
      c[3][i] = static_cast<uint32_t>(p0);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 4; ++j) {
      out[4 * i + j] = c[j][i];
    }
  }
}

void dropout(
    const DropoutRange& range,
    Type type,
    const void* x,
    const void* base,
    void* y) {
  with_sum_type(type, [&]<class T>() {
    auto scale = static_cast<T>(range.scale);
    auto end = range.first + static_cast<uint64_t>(range.count);
    uint32_t words[64];
    for (uint64_t block = range.first / 64 * 64; block < end; block += 64) {
      random_words(range.key, block / 4, words);
      uint64_t from = block < range.first ? range.first : block;
      uint64_t to = end < block + 64 ? end : block + 64;
      for (uint64_t e = from; e < to; ++e) {
        uint64_t i = e - range.first;
        T kept = words[e - block] < range.threshold ? 0 : at<T>(x)[i] * scale;
        at<T>(y)[i] = base != nullptr ? at<T>(base)[i] + kept : kept;
      }
    }
  });
}

} // namespace

const Kernels table = {
    .gemm = gemm,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .norm = norm,
    .norm_backward = norm_backward,
    .activate = activate,
    .activate_backward = activate_backward,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .row_products = row_products,
    .loss = loss,
    .sum_rows = sum_rows,
    .dropout = dropout,
    .rotate = rotate,
};

} // namespace accrue::tensor::ACCRUE_ISA
