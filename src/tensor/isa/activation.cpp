#include "tensor/isa/math.h"

namespace accrue::tensor::ACCRUE_ISA {
namespace {

template <class T>
struct CurvePoint {
  T value;
  T slope;
};

/// x · Φ(x), Φ the normal distribution (arXiv 1606.08415).
ACCRUE_INLINE CurvePoint<float> gelu(float x) {
  x = x < -87.0F ? -87.0F : x; // times a density that never is quite 0
  float e = exponential(-0.5F * x * x);
  float tail = 0.5F * e * scaled_erfc(__builtin_fabsf(x) * float(M_SQRT1_2));
  float below = x < 0 ? tail : 1 - tail;
  float density = float(M_2_SQRTPI * M_SQRT1_2 / 2) * e;
  return {x * below, fma(x, density, below)};
}
ACCRUE_INLINE CurvePoint<double> gelu(double x) {
  double below = 0.5 * erfc(-x * M_SQRT1_2);
  double density = M_2_SQRTPI * M_SQRT1_2 / 2 * exponential(-0.5 * x * x);
  return {x * below, below + x * density};
}

/// kGeluTanh is the approximation in the same paper, x · σ(2u).
template <Curve curve, class T>
ACCRUE_INLINE CurvePoint<T> point(T x) {
  if constexpr (curve == Curve::kGelu) {
    return gelu(x);
  } else if constexpr (curve == Curve::kGeluTanh) {
    constexpr T kScale = T(M_2_SQRTPI * M_SQRT1_2);
    T square = x * x;
    square = square > T(1e4) ? T(1e4) : square; // the slope stays finite
    T u = kScale * x * fma(T(0.044715), square, T(1));
    T s = 1 / (1 + exponential(-2 * u));
    T du = kScale * fma(T(3 * 0.044715), square, T(1));
    T y = x * s;
    return {y, fma(y * (1 - s), 2 * du, s)};
  } else {
    T s = 1 / (1 + exponential(-x));
    T y = x * s;
    return {y, fma(y, 1 - s, s)};
  }
}

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
void activate_values(int64_t count, const T* gate, const T* x, T* y) {
  if (gate == nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      y[i] = narrow<T>(point<curve>(widen(x[i])).value);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      y[i] = narrow<T>(point<curve>(widen(gate[i])).value * widen(x[i]));
    }
  }
}

template <Curve curve, class T>
void activate_gradients(
    int64_t count,
    const T* gate,
    const T* x,
    const SumOf<T>* dy,
    T* y,
    SumOf<T>* dgate,
    SumOf<T>* dx) {
  if (gate == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      auto p = point<curve>(widen(x[i]));
      dx[i] = dy[i] * p.slope;
      y[i] = narrow<T>(p.value);
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      auto p = point<curve>(widen(gate[i]));
      SumOf<T> up = widen(x[i]);
      dgate[i] = dy[i] * up * p.slope;
      dx[i] = dy[i] * p.value;
      y[i] = narrow<T>(p.value * up);
    }
  }
}

} // namespace

void activate(
    Curve curve,
    Type type,
    int64_t count,
    const void* gate,
    const void* x,
    void* y) {
  with_curve(curve, [&]<Curve c>() {
    with_type(type, [&]<class T>() {
      activate_values<c, T>(count, at<T>(gate), at<T>(x), at<T>(y));
    });
  });
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
          at<T>(y),
          at<S>(dgate),
          at<S>(dx));
    });
  });
}

} // namespace accrue::tensor::ACCRUE_ISA
