#pragma once

#include "tensor/isa/format.h"
#include "tensor/isa/transpose.h"

// Packing: parts of a matrix are laid out in the order in which a product
// reads them.

namespace accrue::tensor::ACCRUE_ISA {

template <class F>
inline constexpr bool kRounds = F::kType == Type::kBf16;

/// Words of a segment of `count` elements in k. A bf16 segment has an even
/// number of elements, the last 0 if need be, whether words are pairs or not:
/// adding 0 · 0 to a sum of -0 makes it +0.
template <class F>
constexpr int64_t words_of(int64_t count) {
  return kRounds<F> ? (count + 1) / 2 * (2 / F::kPerWord) : count;
}

/// Rounds as the instruction for vectors does: to nearest even, denormals to 0.
ACCRUE_INLINE uint32_t rounded(float x) {
  auto bits = bit_cast<uint32_t>(x);
  return (bits & 0x7f800000) == 0 ? bits >> 31 << 15 : round_to_bf16(x);
}

/// The word of elements k and k + 1 (nullptr: none); of k alone unless words
/// are pairs.
template <class F, class T>
ACCRUE_INLINE typename F::Word word(const T* first, const T* second) {
  if constexpr (F::kPerWord == 2) {
    uint32_t high = rounded(widen(*first));
    uint32_t low = second != nullptr ? rounded(widen(*second)) : 0;
    return high << 16 | low;
  } else if constexpr (kRounds<F> && sizeof(T) == 4) {
    return bit_cast<float>(rounded(widen(*first)) << 16);
  } else {
    return static_cast<typename F::Word>(widen(*first));
  }
}

/// A vector of words that stand apart from each other, from values.
template <class F>
ACCRUE_INLINE Vector<typename F::Word> words_from(
    Vector<typename F::Word> values) {
  if constexpr (kRounds<F>) { // rounded(), lane by lane
    auto bits = bit_cast<Vector<uint32_t>>(values);
    auto nearest = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000U;
    auto kept = values == values ? nearest : 0x7fc00000 | (bits & 0);
    bits = (bits & 0x7f800000) == 0 ? bits & 0x80000000U : kept;
    return bit_cast<Vector<float>>(bits);
  } else {
    return values;
  }
}

/// Words that are neighbours across k: rows k and k + 1 (nullptr: none).
template <class F, class T>
ACCRUE_INLINE Vector<typename F::Word> across(
    const T* row,
    [[maybe_unused]] const T* next) {
#if defined(__AVX512BF16__)
  if constexpr (F::kPerWord == 2) {
    auto half = [](const T* from) {
      if constexpr (sizeof(T) == 2) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      } else {
        return (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from));
      }
    };
    __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(half(row)), 16);
    if (next == nullptr) {
      return (Vector<uint32_t>)high;
    }
    __m512i low = _mm512_cvtepu16_epi32(half(next));
    return (Vector<uint32_t>)_mm512_or_si512(low, high);
  } else
#endif
      if constexpr (sizeof(T) == 2) {
    return load_wide(row);
  } else {
    return words_from<F>(load_wide(row));
  }
}

/// Words that are neighbours along k.
template <class F, class T>
ACCRUE_INLINE Vector<typename F::Word> along(const T* from) {
#if defined(__AVX512BF16__)
  if constexpr (F::kPerWord == 2) {
    auto pairs = [&] {
      if constexpr (sizeof(T) == 2) {
        return _mm512_loadu_si512(from);
      } else {
        return (__m512i)_mm512_cvtne2ps_pbh(
            _mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
      }
    }();
    return (Vector<uint32_t>)_mm512_rol_epi32(pairs, 16);
  } else
#endif
  {
    return across<F, T>(from, nullptr);
  }
}

/// Whether rows of T are read in halves, which takes a step of transposing off:
/// where words are values as they stand, in vectors that have halves.
template <class F, class T>
constexpr bool joins() {
  return std::is_same_v<T, typename F::Word> && !kRounds<F> &&
      kVectorBytes > 16;
}

/// Gives emit(word of k, words across k) for `count` elements in k of `filled`
/// (at most a vector of) columns; the others repeat the last or are what
/// follows in memory, of which `readable` may be read. Column filled - 1
/// exists, also where filled is 0 or less.
template <class F, class T, class Emit>
ACCRUE_INLINE void pack_lanes(
    const T* from,
    int64_t stride_k,
    int64_t stride_w,
    int64_t count,
    int64_t filled,
    int64_t readable,
    const Emit& emit) {
  using Words = Vector<typename F::Word>;
  constexpr int64_t kWidth = kLanes<typename F::Word>;
  const int64_t num_words = words_of<F>(count);
  int64_t done = 0;
  if (stride_w == 1 && readable >= kWidth) {
    for (; (done + 1) * F::kPerWord <= count; ++done) {
      const T* row = from + done * F::kPerWord * stride_k;
      emit(done, across<F, T>(row, row + stride_k));
    }
    if (done * F::kPerWord < count) {
      emit(done, across<F, T>(from + done * F::kPerWord * stride_k, nullptr));
      ++done;
    }
  }
  if (stride_k == 1) {
    constexpr bool kJoins = joins<F, T>();
    const T* starts[kWidth]; // of rows; those beyond the last repeat it
    for (int64_t i = 0; i < kWidth; ++i) {
      starts[i] = from + least(i, filled - 1) * stride_w;
    }
    for (; (done + kWidth) * F::kPerWord <= count; done += kWidth) {
      Words rows[kWidth];
#pragma GCC unroll 16
      for (int64_t i = 0; i < kWidth; ++i) {
        if constexpr (kJoins) {
          constexpr int64_t kHalf = kWidth / 2;
          const int64_t k = done + (i < kHalf ? 0 : kHalf);
          rows[i] = join(starts[i % kHalf] + k, starts[i % kHalf + kHalf] + k);
        } else {
          rows[i] = along<F, T>(starts[i] + done * F::kPerWord);
        }
      }
      transpose<kJoins>(rows);
#pragma GCC unroll 16
      for (int64_t i = 0; i < kWidth; ++i) {
        emit(done + i, rows[i]);
      }
    }
  }
  for (; done < num_words; ++done) {
    Words words = {};
    const bool any = done * F::kPerWord < count;
    const bool pair = (done + 1) * F::kPerWord <= count;
    for (int64_t i = 0; i < filled && any; ++i) {
      const T* first = from + done * F::kPerWord * stride_k + i * stride_w;
      words[i] = word<F, T>(first, pair ? first + stride_k : nullptr);
    }
    emit(done, words);
  }
}

/// Calls run(pointer to element (row, column)) with the type of `m`.
template <class F, class Run>
ACCRUE_INLINE void with_type(
    const Matrix& m,
    int64_t row,
    int64_t column,
    const Run& run) {
  int64_t offset = row * m.row_stride + column * m.col_stride;
  if constexpr (F::kType == Type::kF64) {
    run(static_cast<const double*>(m.data) + offset);
  } else if (m.type == Type::kBf16) {
    run(static_cast<const Bf16*>(m.data) + offset);
  } else {
    run(static_cast<const float*>(m.data) + offset);
  }
}

} // namespace accrue::tensor::ACCRUE_ISA
