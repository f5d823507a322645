// SPDX-License-Identifier: Apache-2.0
#include <omp.h>

#include "tensor/cpu/isa/tile.h"
#include "tensor/cpu/scratch.h"

// A matrix product after Goto and van de Geijn (doi 10.1145/1356052.1356053):
// a block of B and one of A are packed into the second-level cache, and tiles
// of C are held in registers while a panel of a few rows of A passes one of a
// few vectors of B. Each thread computes a part of C and packs all its factors
// itself, so that no thread waits for another.

namespace accrue::tensor::ACCRUE_ISA {
namespace {

/// Number of multiplications below which one thread computes the product.
constexpr int64_t kSerialWork = 1 << 17;

struct Nothing {};
template <class F>
using Denormals = std::conditional_t<kRounds<F>, FlushDenormals, Nothing>;

template <class F>
class Product : Shape<F> {
 public:
  explicit Product(const Gemm& g) : g_(g), panels_(g.n) {}

  void run();

  /// Packs all of B with all threads.
  void pack(void* out) const;

 private:
  using Shape<F>::kWidth;
  using Shape<F>::kPanelRows;
  using Shape<F>::kPanelColumns;
  using Shape<F>::kBlockPanels;
  using Shape<F>::kMaxWords;
  using Shape<F>::kGroup;
  using Shape<F>::kUnitRows;
  using Shape<F>::kStepRows;
  using Word = typename F::Word;
  using Sum = typename F::Sum;

  /// Part of C that one thread computes, and the thread's memory.
  struct Part {
    int64_t first_row = 0;
    int64_t last_row = 0;
    int64_t first_panel = 0; // panel of B
    int64_t last_panel = 0;
    Word* b = nullptr; // packed block of B
    Word* a = nullptr; // packed block of A
    Sum* sums = nullptr; // sums of a bf16 C, before they are rounded
  };

  /// A block of C: `rows` rows from `row` and panels [first, last).
  struct BlockOfC {
    int64_t row;
    int64_t rows;
    int64_t first;
    int64_t last;
  };

  bool rounds() const {
    return g_.c.type == Type::kBf16;
  }

  Part part_of(int64_t index) const;
  void compute_part(const Part& part) const;
  void pack_panels(const Block& block, int64_t first, int64_t last, Word* out)
      const;
  void pack_rows(const Block& block, int64_t row, int64_t rows, Word* out)
      const;
  static void store_rows(Word* to, int64_t panel, Vector<Word> words);
  void multiply(const Block& block, const Part& part, const BlockOfC& c) const;
  void compute(int64_t vectors, const Tile<F>& tile) const;
  void round_rows(const Part& part, int64_t begin, int64_t end) const;

  const Gemm& g_;
  const Panels<F> panels_;
  Partition partition_;
  int64_t sums_stride_ = 0;
};

/// Calls run(0 … count - 1), one per thread if there are so many.
template <class Run>
void in_parallel(int64_t count, const Run& run) {
  if (count == 1) {
    run(0);
    return;
  }
#pragma omp parallel num_threads(static_cast <int>(count))
  for (int64_t i = omp_get_thread_num(); i < count;
       i += omp_get_num_threads()) {
    run(i);
  }
}

template <class F>
void Product<F>::run() {
  bool alone = omp_in_parallel() != 0 || g_.m * g_.n * g_.k < kSerialWork;
  partition_ =
      partition<F>(g_, panels_.count, alone ? 1 : omp_get_max_threads());
  const int64_t width = min(partition_.panels, kBlockPanels) * kPanelColumns;
  const int64_t height =
      ceil_div(min(partition_.rows, kStepRows), kUnitRows) * kUnitRows;
  sums_stride_ = rounds() ? width : g_.c.row_stride;
  auto bytes = [](size_t element, int64_t count) {
    return element * static_cast<size_t>(count);
  };
  const size_t b =
      g_.packed_b != nullptr ? 0 : bytes(sizeof(Word), kMaxWords * width);
  // One vector more, because the last lanes of a group may exceed its panel.
  const size_t a = bytes(sizeof(Word), kMaxWords * height + kWidth);
  const size_t sums =
      rounds() ? bytes(sizeof(Sum), partition_.rows * width) : 0;
  auto* memory = static_cast<char*>(
      scratch(static_cast<size_t>(partition_.num_parts) * (b + a + sums)));
  in_parallel(partition_.num_parts, [&](int64_t index) {
    Part part = part_of(index);
    char* own = memory + static_cast<size_t>(index) * (b + a + sums);
    part.b = reinterpret_cast<Word*>(own);
    part.a = reinterpret_cast<Word*>(own + b);
    part.sums = reinterpret_cast<Sum*>(own + b + a);
    compute_part(part);
  });
}

template <class F>
void Product<F>::pack(void* out) const {
  const int threads = omp_get_max_threads();
  in_parallel(threads, [&](int64_t index) {
    int64_t first = panels_.count * index / threads;
    int64_t last = panels_.count * (index + 1) / threads;
    Block block;
    while (first < last && next_block<F>(g_, block)) {
      Word* to = static_cast<Word*>(out) +
          panels_.whole_offset(block, panels_.column(first));
      pack_panels(block, first, last, to);
    }
  });
}

template <class F>
typename Product<F>::Part Product<F>::part_of(int64_t index) const {
  const auto& p = partition_;
  Part part;
  part.first_row = min(index / p.parts_across * p.rows, g_.m);
  part.last_row = min(part.first_row + p.rows, g_.m);
  part.first_panel = min(index % p.parts_across * p.panels, panels_.count);
  part.last_panel = min(part.first_panel + p.panels, panels_.count);
  return part;
}

template <class F>
void Product<F>::compute_part(const Part& part) const {
  if (part.first_row == part.last_row) {
    return; // more threads than rows
  }
  [[maybe_unused]] const Denormals<F> denormals;
  for (int64_t p = part.first_panel; p < part.last_panel; p += kBlockPanels) {
    int64_t end = min(p + kBlockPanels, part.last_panel);
    Block block;
    while (next_block<F>(g_, block)) {
      if (g_.packed_b == nullptr) {
        pack_panels(block, p, end, part.b);
      }
      for (int64_t i = part.first_row; i < part.last_row; i += kStepRows) {
        int64_t rows = min(kStepRows, part.last_row - i);
        pack_rows(block, i, rows, part.a);
        multiply(block, part, {i, rows, p, end});
      }
    }
    if (rounds()) {
      round_rows(part, panels_.column(p), panels_.column(end));
    }
  }
}

/// Packs panels [first, last) of B.
template <class F>
void Product<F>::pack_panels(
    const Block& block,
    int64_t first,
    int64_t last,
    Word* out) const {
  for (int64_t p = first; p < last; ++p) {
    int64_t begin = panels_.column(p);
    int64_t width = panels_.column(p + 1) - begin;
    for (int64_t s = 0, k = block.begin; s < block.num_segments; ++s) {
      int64_t count = block.ends[s] - k;
      for (int64_t v = 0; v < width; v += kWidth) {
        int64_t filled = min(kWidth, g_.n - begin - v);
        with_element<F>(g_.b, k, begin + v, [&]<class T>(const T* from) {
          pack_lanes<F, T>(
              {from,
               g_.b.row_stride,
               g_.b.col_stride,
               count,
               filled,
               /*readable=*/filled},
              [out, width, v](int64_t word, auto words) {
                store(out + word * width + v, words);
              });
        });
      }
      k += count;
      out += words_of<F>(count) * width;
    }
  }
}

/// Packs panels of rows [row, row + rows) of A.
template <class F>
void Product<F>::pack_rows(
    const Block& block,
    int64_t row,
    int64_t rows,
    Word* out) const {
  const int64_t panel = kPanelRows * block.words;
  const int64_t end = ceil_div(rows, kPanelRows) * kPanelRows;
  for (int64_t r = 0; r < end; r += kGroup) {
    Word* to = out + r / kPanelRows * panel + r % kPanelRows;
    int64_t filled =
        min(kGroup, rows - r); // 0 or less if the panel has no such rows
    for (int64_t s = 0, k = block.begin; s < block.num_segments; ++s) {
      int64_t count = block.ends[s] - k;
      with_element<F>(g_.a, row + r, k, [&]<class T>(const T* from) {
        pack_lanes<F, T>(
            {from,
             g_.a.col_stride,
             g_.a.row_stride,
             count,
             filled,
             /*readable=*/g_.m - row - r},
            [to, panel](int64_t word, auto words) {
              store_rows(to + word * kPanelRows, panel, words);
            });
      });
      k += count;
      to += words_of<F>(count) * kPanelRows;
    }
  }
}

/// Stores the lanes of a group in their panels, which are `panel` words apart.
template <class F>
ACCRUE_INLINE void Product<F>::store_rows(
    Word* to,
    int64_t panel,
    Vector<Word> words) {
  if constexpr (kGroup == 2 * kPanelRows) {
    [&]<int... lane>(std::integer_sequence<int, lane...>) {
      store(to, __builtin_shufflevector(words, words, lane...));
      store(
          to + panel,
          __builtin_shufflevector(words, words, lane + kPanelRows...));
    }
    (std::make_integer_sequence<int, kPanelRows>{});
  } else { // lanes beyond the panel are overwritten by the next store
    static_assert(kGroup == kPanelRows || kPanelRows % kWidth == 0);
    store(to, words);
  }
}

/// Computes a block of C: a panel of B stays in the caches while those of A
/// pass by.
template <class F>
void Product<F>::multiply(
    const Block& block,
    const Part& part,
    const BlockOfC& c) const {
  static constexpr Sum kZeros[kPanelColumns] = {};
  const bool starts = block.begin == 0 && !g_.add;
  for (int64_t p = c.first; p < c.last; ++p) {
    const int64_t begin = panels_.column(p);
    const int64_t width = panels_.column(p + 1) - begin;
    const int64_t in_part = begin - panels_.column(c.first);
    const Word* b = g_.packed_b != nullptr
        ? static_cast<const Word*>(g_.packed_b) +
            panels_.whole_offset(block, begin)
        : part.b + in_part * block.words;
    const Sum* init = nullptr;
    if (starts) {
      init = g_.bias != nullptr ? static_cast<const Sum*>(g_.bias) + begin
                                : kZeros;
    }
    Sum* sums = rounds()
        ? part.sums + (c.row - part.first_row) * sums_stride_ + in_part
        : static_cast<Sum*>(g_.c.data) + c.row * sums_stride_ + begin;
    for (int64_t r = 0; r < c.rows; r += kPanelRows) {
      if (begin >= c.row + r + kPanelRows + g_.diagonal) {
        continue; // above the diagonal
      }
      compute(
          width / kWidth,
          {min(kPanelRows, c.rows - r),
           min(width, g_.n - begin),
           block,
           part.a + r * block.words,
           b,
           sums + r * sums_stride_,
           sums_stride_,
           init});
    }
  }
}

template <class F>
void Product<F>::compute(int64_t vectors, const Tile<F>& tile) const {
  if (vectors == 1) {
    compute_tile<F, 1>(tile);
  } else if (vectors == 2) {
    compute_tile<F, 2>(tile);
  } else if constexpr (F::kTileVectors == 3) {
    compute_tile<F, 3>(tile);
  }
}

/// Rounds the sums of columns [begin, end) into bf16 C.
template <class F>
void Product<F>::round_rows(const Part& part, int64_t begin, int64_t end)
    const {
  if constexpr (F::kType != Type::kF64) {
    const int64_t columns = min(end, g_.n) - begin;
    for (int64_t i = part.first_row; i < part.last_row; ++i) {
      const Sum* from = part.sums + (i - part.first_row) * sums_stride_;
      Bf16* to = static_cast<Bf16*>(g_.c.data) + i * g_.c.row_stride + begin;
      for (int64_t c = 0; c < columns; ++c) {
        to[c] = round_to<Bf16>(from[c]);
      }
    }
  }
}

template <class Run>
void with_format(Type compute, const Run& run) {
  switch (compute) {
    case Type::kF64:
      return run.template operator()<F64>();
    case Type::kF32:
      return run.template operator()<F32>();
    case Type::kBf16:
      return run.template operator()<BF16>();
  }
}

} // namespace

void gemm(const Gemm& g) {
  if (g.m > 0 && g.n > 0) {
    with_format(g.compute, [&]<class F>() { Product<F>(g).run(); });
  }
}

size_t packed_bytes(const Gemm& g) {
  size_t bytes = 0;
  with_format(g.compute, [&]<class F>() {
    bytes = sizeof(typename F::Word) *
        static_cast<size_t>(
                words_of<F>(g.k) * Panels<F>(g.n).vectors * Shape<F>::kWidth);
  });
  return bytes;
}

void pack(const Gemm& g, void* out) {
  with_format(g.compute, [&]<class F>() { Product<F>(g).pack(out); });
}

} // namespace accrue::tensor::ACCRUE_ISA
