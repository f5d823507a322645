// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/cpu/isa/format.h"
#include "tensor/cpu/isa/transpose.h"

// Packing: copies parts of a matrix into the order in which a product reads
// them.

namespace accrue::tensor::ACCRUE_ISA {

/// Whether packing rounds fp32 to bf16.
template <class F>
inline constexpr bool kRounds = F::kType == Type::kBf16;

/// Number of words of a segment of `count` elements in k. A bf16 segment has an
/// even number of elements, completed by a 0, whether words are pairs or not:
/// adding 0 · 0 to a sum of -0 makes it +0, and that has to be the same
/// everywhere.
template <class F>
ACCRUE_INLINE constexpr int64_t words_of(int64_t count) {
  return kRounds<F> ? (count + 1) / 2 * (2 / F::kPerWord) : count;
}

/// Rounds to bf16 as VCVTNE2PS2BF16 does: to nearest even, denormals to 0.
ACCRUE_INLINE uint32_t rounded(float x) {
  auto bits = bit_cast<uint32_t>(x);
  return (bits & 0x7f800000) == 0 ? bits >> 31 << 15 : round_to_bf16(x);
}

/// Returns the word of elements k and k + 1 (nullptr: none), or of k alone
/// unless words are pairs.
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

/// Converts values to words of one element each.
template <class F>
ACCRUE_INLINE Vector<typename F::Word> words_from(
    Vector<typename F::Word> values) {
  if constexpr (kRounds<F>) { // rounded() in each lane
    auto bits = bit_cast<Vector<uint32_t>>(values);
    auto nearest = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000U;
    auto normal = values == values ? nearest : 0x7fc00000 | (bits & 0);
    bits = (bits & 0x7f800000) == 0 ? bits & 0x80000000U : normal;
    return bit_cast<Vector<float>>(bits);
  } else {
    return values;
  }
}

/// Loads one word per lane from rows k and k + 1 (nullptr: none) of a matrix in
/// which lanes are adjacent.
template <class F, class T>
ACCRUE_INLINE Vector<typename F::Word> load_rows(
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

/// Loads words of one lane from a matrix in which elements are adjacent in k.
template <class F, class T>
ACCRUE_INLINE Vector<typename F::Word> load_column(const T* from) {
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
    return load_rows<F, T>(from, nullptr);
  }
}

/// Whether rows of T are loaded in halves, which saves a step of transposing:
/// possible where words are unconverted values and vectors have halves.
template <class F, class T>
ACCRUE_INLINE constexpr bool joins() {
  return std::is_same_v<T, typename F::Word> && !kRounds<F> &&
      kVectorBytes > 16;
}

/// Lanes (columns of B or rows of A) of one segment, to be packed.
template <class T>
struct Lanes {
  const T* from; // element 0 of lane 0
  int64_t stride_k; // between elements of a lane
  int64_t stride; // between lanes
  int64_t count; // elements of a lane
  int64_t filled; // lanes with elements; lane filled - 1 is readable anyhow
  int64_t readable; // lanes whose memory may be read
};

/// Calls emit(word in k, vector of that word of each lane) for all words. Words
/// of lanes beyond `filled` hold any value.
template <class F, class T, class Emit>
ACCRUE_INLINE void pack_lanes(const Lanes<T>& lanes, const Emit& emit) {
  using Words = Vector<typename F::Word>;
  constexpr int64_t kWidth = kLanes<typename F::Word>;
  const auto [from, stride_k, stride, count, filled, readable] = lanes;
  const int64_t num_words = words_of<F>(count);
  int64_t done = 0;
  if (stride == 1 && readable >= kWidth) {
    for (; (done + 1) * F::kPerWord <= count; ++done) {
      const T* row = from + done * F::kPerWord * stride_k;
      emit(done, load_rows<F, T>(row, row + stride_k));
    }
    if (done * F::kPerWord < count) {
      const T* row = from + done * F::kPerWord * stride_k;
      emit(done, load_rows<F, T>(row, nullptr));
      ++done;
    }
  }
  if (stride_k == 1) {
    constexpr bool kJoins = joins<F, T>();
    const T* starts[kWidth]; // lanes beyond the last one repeat it
    for (int64_t i = 0; i < kWidth; ++i) {
      starts[i] = from + min(i, filled - 1) * stride;
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
          rows[i] = load_column<F, T>(starts[i] + done * F::kPerWord);
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
      const T* first = from + done * F::kPerWord * stride_k + i * stride;
      words[i] = word<F, T>(first, pair ? first + stride_k : nullptr);
    }
    emit(done, words);
  }
}

} // namespace accrue::tensor::ACCRUE_ISA
