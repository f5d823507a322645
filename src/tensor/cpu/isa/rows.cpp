// SPDX-License-Identifier: Apache-2.0
#include "core/philox.h"
#include "tensor/cpu/isa/math.h"

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
      1 / sqrt(squares / static_cast<T>(n.width) + static_cast<T>(n.epsilon));
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

/// Adds the gradient of x to dx [width] and those of weight and bias to sums
/// [2, width].
template <class T>
void norm_row_backward(
    const NormRows& n,
    int64_t row,
    const T* dy,
    T* dx,
    T* sums) {
  T* dweight = sums;
  T* dbias = sums + n.width;
  const T* x = at<T>(n.x) + row * n.width;
  const T* weight = at<T>(n.weight);
  const T mean = n.bias != nullptr ? at<T>(n.mean)[row] : 0;
  const T rstd = at<T>(n.rstd)[row];
  // With g = dy · weight and x̂ the normalised x: mean(g · x̂) and mean(g), the
  // two terms that the backward of LayerNorm subtracts.
  T mean_gx = sum_of<T>(n.width, [&](auto read, auto sum) {
    return fma(read(dy) * read(weight), (read(x) - mean) * rstd, sum);
  });
  T mean_g =
      n.bias == nullptr ? 0 : sum_of<T>(n.width, [&](auto read, auto sum) {
        return fma(read(dy), read(weight), sum);
      });
  mean_gx /= static_cast<T>(n.width);
  mean_g /= static_cast<T>(n.width);
#pragma omp simd
  for (int64_t i = 0; i < n.width; ++i) {
    T normal = (x[i] - mean) * rstd;
    T g = fma(dy[i], weight[i], -mean_g);
    dx[i] = fma(rstd, fma(-normal, mean_gx, g), dx[i]);
    dweight[i] = fma(dy[i], normal, dweight[i]);
    dbias[i] += dy[i];
  }
}

/// Returns a weighted loss, rounded as summable() does unless it was computed
/// in fp64.
ACCRUE_INLINE double weighted_loss(float loss, double weight) {
  return summable(loss * weight);
}
ACCRUE_INLINE double weighted_loss(double loss, double weight) {
  return loss * weight;
}

/// Writes factor · x [count] to `to`, which may start at the address of x:
/// elements of `to` are not larger, so a store overwrites only elements that
/// have been read.
template <class To, class T>
void scale_row(const T* x, int64_t count, T factor, To* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) {
    store(to + j, round_to<To>(factor * load<T>(x + j)));
  }
}

/// Returns weight · loss of a row, and, where rows.gradient is set, replaces
/// its logits by the gradient.
template <class T, class Gradient>
double loss_row(const LossRows& rows, int64_t row) {
  const int64_t vocab = rows.vocab;
  const int64_t target = rows.targets[row];
  const double weight = rows.weights[row];
  T* logits = at<T>(rows.logits) + row * vocab;
  auto* gradient = reinterpret_cast<Gradient*>(logits);
  if (weight == 0) {
    if (rows.gradient) {
      __builtin_memset(
          gradient, 0, static_cast<size_t>(vocab) * sizeof(Gradient));
    }
    return 0;
  }
  T max = logits[0];
#pragma omp simd reduction(max : max)
  for (int64_t j = 0; j < vocab; ++j) {
    max = logits[j] > max ? logits[j] : max;
  }
  T target_logit = logits[target];
  for (int64_t j = 0; j < vocab; ++j) {
    logits[j] = exponential(logits[j] - max);
  }
  T total =
      sum_of<T>(vocab, [&](auto read, auto sum) { return sum + read(logits); });
  if (rows.gradient) {
    auto w = static_cast<T>(weight);
    T factor = w / total;
    T at_target = fma(factor, logits[target], -w);
    scale_row(logits, vocab, factor, gradient);
    store(gradient + target, round_to<Gradient>(at_target));
  }
  return weighted_loss(logarithm(total) - (target_logit - max), weight);
}

/// Computes the words of Philox 4x32-10 (doi 10.1145/2063384.2063405) for 16
/// consecutive counters, in the order of accrue::philox.
void random_words(uint64_t key, uint64_t counter, uint32_t (&out)[64]) {
  uint32_t c[4][16];
  for (uint32_t i = 0; i < 16; ++i) {
    c[0][i] = static_cast<uint32_t>(counter + i);
    c[1][i] = static_cast<uint32_t>((counter + i) >> 32);
    c[2][i] = c[3][i] = 0;
  }
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    for (int i = 0; i < 16; ++i) {
      uint64_t p0 = uint64_t{kPhiloxMultiplier0} * c[0][i];
      uint64_t p1 = uint64_t{kPhiloxMultiplier1} * c[2][i];
      c[0][i] = static_cast<uint32_t>(p1 >> 32) ^ c[1][i] ^ key0;
      c[1][i] = static_cast<uint32_t>(p1);
      c[2][i] = static_cast<uint32_t>(p0 >> 32) ^ c[3][i] ^ key1;
      c[3][i] = static_cast<uint32_t>(p0);
    }
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
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
    T* gradients = at<T>(sums); // gradients of weight and bias
    for (int64_t i = 0; i < 2 * n.width; ++i) {
      gradients[i] = 0;
    }
    for (int64_t row = 0; row < n.rows; ++row) {
      norm_row_backward<T>(
          n,
          row,
          at<T>(dy) + row * n.width,
          at<T>(dx) + row * n.width,
          gradients);
    }
  });
}

void loss(const LossRows& l) {
  auto run = [&]<class T, class Gradient>() {
    for (int64_t i = 0; i < l.rows; ++i) {
      l.losses[i] = loss_row<T, Gradient>(l, i);
    }
  };
  if (l.gradient_type == Type::kBf16) {
    return run.template operator()<float, Bf16>();
  }
  with_sum_type(l.type, [&]<class T>() { run.template operator()<T, T>(); });
}

void sum_rows(const RowSums& r) {
  with_sum_type(r.type, [&]<class T>() {
    const int64_t width = r.width;
    T* total = at<T>(r.sums);
    for (int64_t j = 0; j < width; ++j) {
      total[j] = 0;
    }
    for (int64_t i = 0; i < r.rows; ++i) {
      const T* row = at<T>(r.x) + i * r.stride;
      for (int64_t j = 0; j < width; ++j) {
        total[j] += row[j];
      }
    }
  });
}

void dropout(const DropoutRange& range) {
  with_sum_type(range.type, [&]<class T>() {
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
      __builtin_memcpy(in + (from - block), at<T>(range.x) + i, bytes);
      if (range.base != nullptr) {
        __builtin_memcpy(sum + (from - block), at<T>(range.base) + i, bytes);
      }
      for (int e = 0; e < 64; ++e) {
        in[e] = words[e] < range.threshold ? sum[e] : fma(in[e], scale, sum[e]);
      }
      __builtin_memcpy(at<T>(range.y) + i, in + (from - block), bytes);
    }
  });
}

double sum_squares(Type type, int64_t count, const void* x) {
  double total = 0;
  with_sum_type(type, [&]<class T>() {
    const T* from = at<T>(x);
    // 64 bytes of lanes in fp64, whatever the type of x.
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

void adamw(const AdamWStep& step, const AdamWRange& range) {
  with_sum_type(range.type, [&]<class T>() {
    const int64_t count = range.count;
    const T* g = at<T>(range.gradient);
    T* p = at<T>(range.parameter);
    T* m = at<T>(range.average);
    T* v = at<T>(range.square_average);
    const auto decay = static_cast<T>(1 - step.lr * step.weight_decay);
    const auto share1 = static_cast<T>(1 - step.beta1);
    const auto beta2 = static_cast<T>(step.beta2);
    const auto share2 = static_cast<T>(1 - step.beta2);
    const auto size = static_cast<T>(step.lr / step.correction1);
    const auto scale = static_cast<T>(sqrt(step.correction2));
    const auto eps = static_cast<T>(step.eps);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      m[i] = fma(share1, g[i] - m[i], m[i]);
      v[i] = fma(share2 * g[i], g[i], beta2 * v[i]);
      T denominator = sqrt(v[i]) / scale + eps;
      p[i] = fma(-size, m[i] / denominator, decay * p[i]);
    }
  });
}

} // namespace accrue::tensor::ACCRUE_ISA
