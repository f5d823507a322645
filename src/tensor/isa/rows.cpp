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
    mean =
        sum_of<T>(n.width, [&](auto read, auto sum) { return sum + read(x); });
    mean /= static_cast<T>(n.width);
    at<T>(n.mean)[row] = mean;
  }
  T squares = sum_of<T>(n.width, [&](auto read, auto sum) {
    auto d = read(x) - mean;
    return fma(d, d, sum);
  });
  T rstd =
      1 / root(squares / static_cast<T>(n.width) + static_cast<T>(n.epsilon));
  at<T>(n.rstd)[row] = rstd;
  if (bias != nullptr) {
    for (int64_t i = 0; i < n.width; ++i) {
      y[i] = fma((x[i] - mean) * rstd, weight[i], bias[i]);
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
  // The part of the gradient that changes the norm of x, and its mean.
  T along = sum_of<T>(n.width, [&](auto read, auto sum) {
    return fma(read(dy) * read(weight), (read(x) - mean) * rstd, sum);
  });
  T common =
      n.bias == nullptr ? 0 : sum_of<T>(n.width, [&](auto read, auto sum) {
        return fma(read(dy), read(weight), sum);
      });
  along /= static_cast<T>(n.width);
  common /= static_cast<T>(n.width);
#pragma omp simd
  for (int64_t i = 0; i < n.width; ++i) {
    T normal = (x[i] - mean) * rstd;
    T g = fma(dy[i], weight[i], -common);
    dx[i] = fma(rstd, fma(-normal, along, g), dx[i]);
    dweight[i] = fma(dy[i], normal, dweight[i]);
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
  for (int64_t j = 0; j < vocab; ++j) {
    logits[j] = exponential(logits[j] - most);
  }
  T total =
      sum_of<T>(vocab, [&](auto read, auto sum) { return sum + read(logits); });
  if (g) {
    auto w = static_cast<T>(weight);
    T factor = w / total;
    T at_target = fma(factor, logits[target], -w);
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
        in[e] = words[e] < range.threshold ? sum[e] : fma(in[e], scale, sum[e]);
      }
      __builtin_memcpy(at<T>(y) + i, in + (from - block), bytes);
    }
  });
}

double sum_squares(Type type, int64_t count, const void* x) {
  double total = 0;
  with_sum_type(type, [&]<class T>() {
    const T* from = at<T>(x);
    // Lanes for 64 bytes of fp64, whatever x is.
    constexpr int64_t kFixed = 8;
    double lanes[kFixed] = {};
    int64_t i = 0;
    for (; i + kFixed <= count; i += kFixed) {
      for (int64_t j = 0; j < kFixed; ++j) {
        auto wide = static_cast<double>(from[i + j]);
        lanes[j] = fma(wide, wide, lanes[j]);
      }
    }
    for (int64_t j = 0; i < count; ++i, ++j) {
      auto wide = static_cast<double>(from[i]);
      lanes[j] = fma(wide, wide, lanes[j]);
    }
    for (double lane : lanes) {
      total += lane;
    }
  });
  return total;
}

void adamw(
    const AdamWStep& step,
    Type type,
    int64_t count,
    const void* gradient,
    void* parameter,
    void* average,
    void* square_average) {
  with_sum_type(type, [&]<class T>() {
    const T* g = at<T>(gradient);
    T* p = at<T>(parameter);
    T* m = at<T>(average);
    T* v = at<T>(square_average);
    const auto decay = static_cast<T>(1 - step.lr * step.weight_decay);
    const auto share1 = static_cast<T>(1 - step.beta1);
    const auto beta2 = static_cast<T>(step.beta2);
    const auto share2 = static_cast<T>(1 - step.beta2);
    const auto size = static_cast<T>(step.lr / step.correction1);
    const auto scale = static_cast<T>(root(step.correction2));
    const auto eps = static_cast<T>(step.eps);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      m[i] = fma(share1, g[i] - m[i], m[i]);
      v[i] = fma(share2 * g[i], g[i], beta2 * v[i]);
      T denominator = root(v[i]) / scale + eps;
      p[i] = fma(-size, m[i] / denominator, decay * p[i]);
    }
  });
}

} // namespace accrue::tensor::ACCRUE_ISA
