#include "tensor/isa/math.h"

namespace accrue::tensor::ACCRUE_ISA {
namespace {

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

/// A weighted loss as a multiple of 2⁻²⁴, so that sums of them in fp64 are
/// exact up to 2²⁹ and thus the same in any order. fp64 losses stay as they
/// are.
ACCRUE_INLINE double exactly_summable(float loss, double weight) {
  return rint(loss * weight * 0x1p24) * 0x1p-24;
}
ACCRUE_INLINE double exactly_summable(double loss, double weight) {
  return loss * weight;
}

/// to[j] = factor · x[j]. `to` may start where x does: its elements are not
/// larger, so what a store overwrites has been read.
template <class To, class T>
void scale_row(const T* x, int64_t count, T factor, To* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) {
    store(to + j, narrow<To>(factor * load<T>(x + j)));
  }
}

template <class Gradient, class T>
double loss_row(
    T* logits,
    int64_t vocab,
    int64_t target,
    double weight,
    bool g) {
  auto* gradient = reinterpret_cast<Gradient*>(logits);
  if (weight == 0) {
    if (g) {
      __builtin_memset(
          gradient, 0, static_cast<size_t>(vocab) * sizeof(Gradient));
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
    auto w = static_cast<T>(weight);
    T factor = w / total;
    T at_target = factor * logits[target] - w;
    scale_row(logits, vocab, factor, gradient);
    store(gradient + target, narrow<Gradient>(at_target));
  }
  return exactly_summable(logarithm(total) - (wanted - most), weight);
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

} // namespace

void norm(const NormRows& n, void* y) {
  with_sum_type(n.type, [&]<class T>() {
    for (int64_t row = 0; row < n.rows; ++row) {
      norm_row<T>(n, row, at<T>(y) + row * n.width);
    }
  });
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

void loss(const LossRows& rows) {
  auto run = [&]<class T, class Gradient>() {
    for (int64_t i = 0; i < rows.rows; ++i) {
      rows.losses[i] = loss_row<Gradient>(
          at<T>(rows.logits) + i * rows.vocab,
          rows.vocab,
          rows.targets[i],
          rows.weights[i],
          rows.gradient);
    }
  };
  if (rows.gradient_type == Type::kBf16) {
    return run.template operator()<float, Bf16>();
  }
  with_sum_type(rows.type, [&]<class T>() { run.template operator()<T, T>(); });
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

void dropout(
    const DropoutRange& range,
    Type type,
    const void* x,
    const void* base,
    void* y) {
  with_sum_type(type, [&]<class T>() {
    auto scale = static_cast<T>(range.scale);
    auto end = range.first + static_cast<uint64_t>(range.count);
    // Whole blocks, also where the range has part of one: in a shorter loop
    // the compiler may round once where it rounds twice here.
    uint32_t words[64];
    T in[64] = {};
    T sum[64] = {};
    for (uint64_t block = range.first / 64 * 64; block < end; block += 64) {
      random_words(range.key, block / 4, words);
      uint64_t from = block < range.first ? range.first : block;
      uint64_t to = end < block + 64 ? end : block + 64;
      uint64_t i = from - range.first;
      size_t bytes = (to - from) * sizeof(T);
      __builtin_memcpy(in + (from - block), at<T>(x) + i, bytes);
      if (base != nullptr) {
        __builtin_memcpy(sum + (from - block), at<T>(base) + i, bytes);
      }
      for (int e = 0; e < 64; ++e) {
        in[e] = words[e] < range.threshold ? sum[e] : sum[e] + in[e] * scale;
      }
      __builtin_memcpy(at<T>(y) + i, in + (from - block), bytes);
    }
  });
}

double sum_squares(Type type, int64_t count, const void* x) {
  double sum = 0;
  with_sum_type(type, [&]<class T>() {
    const T* from = at<T>(x);
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; ++i) {
      sum += static_cast<double>(from[i]) * static_cast<double>(from[i]);
    }
  });
  return sum;
}

} // namespace accrue::tensor::ACCRUE_ISA
