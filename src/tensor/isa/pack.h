#pragma once

#include "tensor/isa/format.h"

// Packing: parts of a matrix are laid out in the order in which a product
// reads them.

namespace accrue::tensor::ACCRUE_ISA {

/// As the instruction that rounds vectors does it, where there is one: to
/// nearest even, denormals to 0.
ACCRUE_INLINE uint32_t rounded(float x) {
#if defined(__AVX512BF16__)
  auto bits = bit_cast<uint32_t>(x);
  if ((bits & 0x7f800000) == 0) {
    return bits >> 31 << 15;
  }
#endif
  return round_to_bf16(x);
}

/// The word of one element and, unless it is the last, its neighbour in k.
template <class F, class T>
ACCRUE_INLINE typename F::Word word(const T* first, const T* second) {
  if constexpr (F::kPerWord == 2) {
    uint32_t low = rounded(widen(*first));
    uint32_t high = second != nullptr ? rounded(widen(*second)) : 0;
    return low | high << 16;
  } else {
    return static_cast<typename F::Word>(widen(*first));
  }
}

/// Words that are neighbours across k: rows k and k + 1 (nullptr: none).
template <class F, class T>
ACCRUE_INLINE typename F::Words across(const T* row, const T* next) {
  if constexpr (F::kPerWord == 1 && sizeof(T) == sizeof(typename F::Word)) {
    return load<typename F::Words>(row);
  }
#if defined(__AVX512BF16__)
  else if constexpr (F::kPerWord == 2) {
    auto half = [](const T* from) {
      if constexpr (sizeof(T) == 2) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      } else {
        return (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from));
      }
    };
    __m512i low = _mm512_cvtepu16_epi32(half(row));
    if (next == nullptr) {
      return (U32x16)low;
    }
    __m512i high = _mm512_cvtepu16_epi32(half(next));
    return (U32x16)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
#endif
  else {
    typename F::Words words = {};
    for (int64_t i = 0; i < F::kLanes; ++i) {
      words[i] = word<F, T>(row + i, next != nullptr ? next + i : nullptr);
    }
    return words;
  }
}

/// Words that are neighbours along k.
template <class F, class T>
ACCRUE_INLINE typename F::Words along(const T* from) {
  if constexpr (sizeof(T) * F::kPerWord == sizeof(typename F::Word)) {
    return load<typename F::Words>(from);
  }
#if defined(__AVX512BF16__)
  else if constexpr (F::kPerWord == 2) {
    return (U32x16)_mm512_cvtne2ps_pbh(
        _mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
  }
#endif
  else {
    typename F::Words words = {};
    for (int64_t i = 0; i < F::kLanes; ++i) {
      const T* first = from + i * F::kPerWord;
      words[i] = word<F, T>(first, first + F::kPerWord - 1);
    }
    return words;
  }
}

/// rows[i][j] <-> rows[j][i].
ACCRUE_INLINE void transpose(U32x16 (&rows)[16]) {
  // Stage s exchanges blocks of s words between rows that are s apart.
  constexpr U32x16 kLow[4] = {
      {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
      {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
      {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
      {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}};
#pragma GCC unroll 4
  for (int stage = 0; stage < 4; ++stage) {
    const int step = 8 >> stage;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if ((i & step) == 0) {
        U32x16 low = __builtin_shuffle(rows[i], rows[i + step], kLow[stage]);
        U32x16 high = __builtin_shuffle(
            rows[i], rows[i + step], kLow[stage] + static_cast<uint32_t>(step));
        rows[i] = low;
        rows[i + step] = high;
      }
    }
  }
}

/// Gives emit(word of k, words across k) for `count` elements in k of `filled`
/// (at most F::kLanes) columns; the other words are 0.
template <class F, class T, class Emit>
ACCRUE_INLINE void pack_lanes(
    const T* from,
    int64_t stride_k,
    int64_t stride_w,
    int64_t count,
    int64_t filled,
    const Emit& emit) {
  using Words = typename F::Words;
  int64_t num_words = (count + F::kPerWord - 1) / F::kPerWord;
  int64_t done = 0;
  if (stride_w == 1 && filled == F::kLanes) {
    for (; done < num_words; ++done) {
      const T* row = from + done * F::kPerWord * stride_k;
      bool pair = (done + 1) * F::kPerWord <= count;
      emit(done, across<F, T>(row, pair ? row + stride_k : nullptr));
    }
  }
  if constexpr (F::kLanes == 16) {
    for (; stride_k == 1 && (done + 16) * F::kPerWord <= count; done += 16) {
      U32x16 rows[16];
#pragma GCC unroll 16
      for (int64_t i = 0; i < 16; ++i) {
        rows[i] = i < filled ? bit_cast<U32x16>(along<F, T>(
                                   from + i * stride_w + done * F::kPerWord))
                             : U32x16{};
      }
      transpose(rows);
#pragma GCC unroll 16
      for (int64_t i = 0; i < 16; ++i) {
        emit(done + i, bit_cast<Words>(rows[i]));
      }
    }
  }
  for (; done < num_words; ++done) {
    Words words = {};
    bool pair = (done + 1) * F::kPerWord <= count;
    for (int64_t i = 0; i < filled; ++i) {
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
