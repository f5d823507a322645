// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/isa/math.h"

namespace accrue::tensor::ACCRUE_ISA {
namespace {

/// Value and derivative of an activation.
template <class T>
struct Evaluated {
  T value;
  T slope;
};

/// x · Φ(x), Φ the normal distribution (arXiv 1606.08415).
ACCRUE_INLINE Evaluated<float> gelu(float x) {
  // Limited because it is multiplied by a density that exponential() never
  // rounds to 0.
  x = x < -87.0F ? -87.0F : x;
  float e = exponential(-0.5F * x * x);
  float tail = 0.5F * e * scaled_erfc(__builtin_fabsf(x) * float(M_SQRT1_2));
  float below = x < 0 ? tail : 1 - tail;
  float density = float(M_2_SQRTPI * M_SQRT1_2 / 2) * e;
  return {x * below, fma(x, density, below)};
}
ACCRUE_INLINE Evaluated<double> gelu(double x) {
  double below = 0.5 * erfc(-x * M_SQRT1_2);
  double density = M_2_SQRTPI * M_SQRT1_2 / 2 * exponential(-0.5 * x * x);
  return {x * below, below + x * density};
}

/// kGeluTanh is the approximation in the same paper, x · σ(2u).
template <Activation activation, class T>
ACCRUE_INLINE Evaluated<T> evaluate(T x) {
  if constexpr (activation == Activation::kGelu) {
    return gelu(x);
  } else if constexpr (activation == Activation::kGeluTanh) {
    constexpr T kScale = T(M_2_SQRTPI * M_SQRT1_2);
    T square = x * x;
    square = square > T(1e4) ? T(1e4) : square; // keeps the slope finite
    T u = kScale * x * fma(T(0.044715), square, T(1));
    T s = 1 / (1 + exponential(-2 * u));
    T du = kScale * fma(T(3 * 0.044715), square, T(1));
    T y = x * s;
    return {y, fma(y * (1 - s), 2 * du, s)};
  } else {
    static_assert(activation == Activation::kSilu);
    T s = 1 / (1 + exponential(-x));
    T y = x * s;
    return {y, fma(y, 1 - s, s)};
  }
}

template <class Run>
ACCRUE_INLINE void with_activation(Activation activation, const Run& run) {
  switch (activation) {
    case Activation::kGelu:
      return run.template operator()<Activation::kGelu>();
    case Activation::kGeluTanh:
      return run.template operator()<Activation::kGeluTanh>();
    case Activation::kSilu:
      return run.template operator()<Activation::kSilu>();
  }
}

template <Activation activation, class T>
void activate_values(const ActivationRange& range) {
  const int64_t count = range.count;
  const T* gate = at<T>(range.gate);
  const T* x = at<T>(range.x);
  T* y = at<T>(range.y);
  if (gate == nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      y[i] = round_to<T>(evaluate<activation>(widen(x[i])).value);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      y[i] =
          round_to<T>(evaluate<activation>(widen(gate[i])).value * widen(x[i]));
    }
  }
}

template <Activation activation, class T>
void activate_gradients(
    const ActivationRange& range,
    const ActivationGradients& gradients) {
  using Sum = SumOf<T>;
  const int64_t count = range.count;
  const T* gate = at<T>(range.gate);
  const T* x = at<T>(range.x);
  const Sum* dy = at<Sum>(gradients.dy);
  T* y = at<T>(range.y);
  Sum* dgate = at<Sum>(gradients.dgate);
  Sum* dx = at<Sum>(gradients.dx);
  if (gate == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      auto p = evaluate<activation>(widen(x[i]));
      dx[i] = dy[i] * p.slope;
      y[i] = round_to<T>(p.value);
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      auto p = evaluate<activation>(widen(gate[i]));
      Sum up = widen(x[i]);
      dgate[i] = dy[i] * up * p.slope;
      dx[i] = dy[i] * p.value;
      y[i] = round_to<T>(p.value * up);
    }
  }
}

} // namespace

void activate(const ActivationRange& range) {
  with_activation(range.activation, [&]<Activation activation>() {
    with_type(
        range.type, [&]<class T>() { activate_values<activation, T>(range); });
  });
}

void activate_backward(
    const ActivationRange& range,
    const ActivationGradients& gradients) {
  with_activation(range.activation, [&]<Activation activation>() {
    with_type(range.type, [&]<class T>() {
      activate_gradients<activation, T>(range, gradients);
    });
  });
}

} // namespace accrue::tensor::ACCRUE_ISA
