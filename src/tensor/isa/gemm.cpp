#include <omp.h>

#include "tensor/isa/isa.h"
#include "tensor/isa/pack.h"
#include "tensor/isa/tile.h"
#include "tensor/scratch.h"

// A matrix product after Goto and van de Geijn (doi 10.1145/1356052.1356053):
// a block of B and one of A are packed into the second-level cache, and tiles
// of C are held in registers while a panel of a few rows of A passes one of a
// few vectors of B. Threads take parts of C and pack what they need themselves,
// so that none waits for another.

namespace accrue::tensor::ACCRUE_ISA {
namespace {

constexpr int64_t kBlockRows = 128; // of A, packed at once, or a little less
/// Columns of B that are packed at once. More of them save packing A again, and
/// a panel of the narrow tiles of few registers stays in the first-level cache.
constexpr int64_t kBlockColumns = kRegisters == 32 ? 768 : 1536;
constexpr int64_t kSerialWork = 1 << 17; // multiplications; below: one thread
/// Packing an element takes about as long as so many multiplications.
constexpr int64_t kPackingCost = 32;

struct Nothing {};
template <class F>
using Denormals = std::conditional_t<kRounds<F>, FlushDenormals, Nothing>;

template <class F>
class Product {
 public:
  using Word = typename F::Word;
  using Sum = typename F::Sum;
  static constexpr int64_t kWidth = kLanes<Sum>;

  explicit Product(const Gemm& g)
      : g_(g),
        vectors_(ceil_div(g.n, kWidth)),
        panels_(ceil_div(vectors_, F::kTileVectors)) {}

  void run() {
    bool alone = omp_in_parallel() != 0 || g_.m * g_.n * g_.k < kSerialWork;
    cut(alone ? 1 : omp_get_max_threads());
    const int64_t width = least(part_panels_, kBlockPanels) * kPanelColumns;
    const int64_t height =
        ceil_div(least(part_rows_, kStepRows), kLargest) * kLargest;
    sums_stride_ = narrows() ? width : g_.c_stride;
    auto bytes = [](size_t element, int64_t count) {
      return element * static_cast<size_t>(count);
    };
    const size_t b =
        g_.packed_b != nullptr ? 0 : bytes(sizeof(Word), kMostWords * width);
    // A vector more: the last lanes of a group may stand beyond its panel.
    const size_t a = bytes(sizeof(Word), kMostWords * height + kWidth);
    const size_t sums = narrows() ? bytes(sizeof(Sum), part_rows_ * width) : 0;
    auto* memory = static_cast<char*>(
        scratch(static_cast<size_t>(num_parts_) * (b + a + sums)));
    in_parallel(num_parts_, [&](int64_t index) {
      Part part = part_of(index);
      char* own = memory + static_cast<size_t>(index) * (b + a + sums);
      part.b = reinterpret_cast<Word*>(own);
      part.a = reinterpret_cast<Word*>(own + b);
      part.sums = reinterpret_cast<Sum*>(own + b + a);
      work(part);
    });
  }

  /// Packs all of B with all threads.
  void pack(void* out) {
    const int threads = omp_get_max_threads();
    in_parallel(threads, [&](int64_t index) {
      int64_t first = panels_ * index / threads;
      int64_t last = panels_ * (index + 1) / threads;
      Block block;
      int64_t fixed_end = 0;
      while (first < last && next(block, fixed_end)) {
        Word* to = static_cast<Word*>(out) + whole_offset(block, column(first));
        pack_panels(block, first, last, to);
      }
    });
  }

 private:
  /// What one thread computes of C, and with what memory.
  struct Part {
    int64_t first_row = 0;
    int64_t last_row = 0;
    int64_t first_panel = 0; // of B
    int64_t last_panel = 0;
    Word* b = nullptr;
    Word* a = nullptr;
    Sum* sums = nullptr; // of C where it is bf16
  };

  static constexpr int64_t kPanelRows = F::kTileRows; // of A
  static constexpr int64_t kPanelColumns = F::kTileVectors * kWidth; // of B
  static constexpr int64_t kBlockPanels = kBlockColumns / kPanelColumns;
  static constexpr int64_t kMostWords = segment_limit(F::kType) / F::kPerWord;
  /// Rows of A that are packed with one transposition: a part of a panel, or
  /// one or more panels.
  static constexpr int64_t kGroup =
      kPanelRows >= kWidth ? kWidth : kWidth / kPanelRows * kPanelRows;
  static constexpr int64_t kLargest =
      kPanelRows >= kWidth ? kPanelRows : kGroup;
  static constexpr int64_t kStepRows = kBlockRows / kLargest * kLargest;

  /// Calls run(0 … count - 1), one per thread, where there are so many.
  template <class Run>
  static void in_parallel(int64_t count, const Run& run) {
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

  bool narrows() const {
    return g_.c_type == Type::kBf16;
  }

  /// First column of a panel; the last two share their vectors evenly.
  int64_t column(int64_t panel) const {
    constexpr int64_t kMost = F::kTileVectors;
    bool uneven = kMost > 2 && vectors_ % kMost == 1 && panels_ > 1;
    int64_t vector = panel * kMost;
    return least(vector - (uneven && panel == panels_ - 1 ? 1 : 0), vectors_) *
        kWidth;
  }

  /// Where column `j` starts in a B that is packed as a whole.
  int64_t whole_offset(const Block& block, int64_t j) const {
    return block.begin / F::kPerWord * vectors_ * kWidth + j * block.words;
  }

  /// Chooses how many parts share the rows and how many the columns, so that
  /// the largest part is small and little is packed.
  void cut(int parts) {
    num_parts_ = parts;
    const int64_t row_panels = ceil_div(g_.m, kPanelRows);
    int64_t least_cost = -1;
    for (int across = 1; across <= parts; ++across) {
      if (parts % across != 0) {
        continue;
      }
      int64_t rows = ceil_div(row_panels, parts / across) * kPanelRows;
      int64_t panels = ceil_div(panels_, across);
      int64_t packed = rows * ceil_div(panels, kBlockPanels) +
          (g_.packed_b != nullptr ? 0 : panels * kPanelColumns);
      int64_t cost = rows * panels * kPanelColumns + kPackingCost * packed;
      if (least_cost < 0 || cost < least_cost) {
        least_cost = cost;
        parts_across_ = across;
        part_rows_ = rows;
        part_panels_ = panels;
      }
    }
  }

  Part part_of(int64_t index) const {
    Part part;
    part.first_row = least(index / parts_across_ * part_rows_, g_.m);
    part.last_row = least(part.first_row + part_rows_, g_.m);
    part.first_panel = least(index % parts_across_ * part_panels_, panels_);
    part.last_panel = least(part.first_panel + part_panels_, panels_);
    return part;
  }

  /// As many whole segments as fit.
  bool next(Block& block, int64_t& fixed_end) const {
    constexpr int64_t kLimit = segment_limit(F::kType);
    if (block.end >= g_.k) {
      return false;
    }
    block.begin = block.end;
    if (g_.segments.empty()) {
      block.num_segments = 1;
      block.end = fixed_end = least(block.begin + kLimit, g_.k);
      block.words = words_of<F>(block.end - block.begin);
      block.ends = &fixed_end;
      return true;
    }
    block.ends = block.ends == nullptr ? g_.segments.data()
                                       : block.ends + block.num_segments;
    block.num_segments = block.words = 0;
    while (block.end < g_.k) {
      int64_t end = block.ends[block.num_segments];
      int64_t words = words_of<F>(end - block.end);
      if (block.words + words > kMostWords) {
        break;
      }
      block.words += words;
      block.end = end;
      ++block.num_segments;
    }
    return true;
  }

  void work(const Part& part) const {
    if (part.first_row == part.last_row) {
      return; // more threads than rows
    }
    [[maybe_unused]] const Denormals<F> denormals;
    for (int64_t p = part.first_panel; p < part.last_panel; p += kBlockPanels) {
      int64_t end = least(p + kBlockPanels, part.last_panel);
      Block block;
      int64_t fixed_end = 0;
      while (next(block, fixed_end)) {
        if (g_.packed_b == nullptr) {
          pack_panels(block, p, end, part.b);
        }
        for (int64_t i = part.first_row; i < part.last_row; i += kStepRows) {
          int64_t rows = least(kStepRows, part.last_row - i);
          pack_rows(block, i, rows, part.a);
          multiply(block, part, p, end, i, rows);
        }
      }
      if (narrows()) {
        narrow_rows(part, column(p), column(end));
      }
    }
  }

  /// Panels [first, last) of B.
  void pack_panels(const Block& block, int64_t first, int64_t last, Word* out)
      const {
    for (int64_t p = first; p < last; ++p) {
      int64_t begin = column(p);
      int64_t width = column(p + 1) - begin;
      for (int64_t s = 0, k = block.begin; s < block.num_segments; ++s) {
        int64_t count = block.ends[s] - k;
        for (int64_t v = 0; v < width; v += kWidth) {
          int64_t filled = least(kWidth, g_.n - begin - v);
          with_type<F>(g_.b, k, begin + v, [&](const auto* from) {
            pack_lanes<F>(
                from,
                g_.b.row_stride,
                g_.b.col_stride,
                count,
                filled,
                filled,
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

  /// Panels of rows [i, i + rows) of A.
  void pack_rows(const Block& block, int64_t i, int64_t rows, Word* out) const {
    const int64_t panel = kPanelRows * block.words;
    const int64_t end = ceil_div(rows, kPanelRows) * kPanelRows;
    for (int64_t r = 0; r < end; r += kGroup) {
      Word* to = out + r / kPanelRows * panel + r % kPanelRows;
      int64_t filled = least(kGroup, rows - r); // may be 0 or less
      for (int64_t s = 0, k = block.begin; s < block.num_segments; ++s) {
        int64_t count = block.ends[s] - k;
        with_type<F>(g_.a, i + r, k, [&](const auto* from) {
          pack_lanes<F>(
              from,
              g_.a.col_stride,
              g_.a.row_stride,
              count,
              filled,
              g_.m - i - r,
              [to, panel](int64_t word, auto words) {
                store_rows(to + word * kPanelRows, panel, words);
              });
        });
        k += count;
        to += words_of<F>(count) * kPanelRows;
      }
    }
  }

  /// Lanes of a group -> their panels.
  static void store_rows(Word* to, int64_t panel, Vector<Word> words) {
    if constexpr (kGroup == 2 * kPanelRows) {
      [&]<int... lane>(std::integer_sequence<int, lane...>) {
        store(to, __builtin_shufflevector(words, words, lane...));
        store(
            to + panel,
            __builtin_shufflevector(words, words, lane + kPanelRows...));
      }
      (std::make_integer_sequence<int, kPanelRows>{});
    } else { // lanes beyond the panel are overwritten by what comes next
      static_assert(kGroup == kPanelRows || kPanelRows % kWidth == 0);
      store(to, words);
    }
  }

  /// C of rows [i, i + rows) and panels [first, last): a panel of B stays in
  /// the caches while those of A pass by.
  void multiply(
      const Block& block,
      const Part& part,
      int64_t first,
      int64_t last,
      int64_t i,
      int64_t rows) const {
    static constexpr Sum kZeros[kPanelColumns] = {};
    const bool starts = block.begin == 0 && !g_.add;
    for (int64_t p = first; p < last; ++p) {
      const int64_t begin = column(p);
      const int64_t width = column(p + 1) - begin;
      const Word* b = g_.packed_b != nullptr
          ? static_cast<const Word*>(g_.packed_b) + whole_offset(block, begin)
          : part.b + (begin - column(first)) * block.words;
      const Sum* init = nullptr;
      if (starts) {
        init = g_.bias != nullptr ? static_cast<const Sum*>(g_.bias) + begin
                                  : kZeros;
      }
      Sum* c = narrows() ? part.sums + (i - part.first_row) * sums_stride_ +
              (begin - column(first))
                         : static_cast<Sum*>(g_.c) + i * sums_stride_ + begin;
      for (int64_t r = 0; r < rows; r += kPanelRows) {
        if (begin >= i + r + kPanelRows + g_.diagonal) {
          continue; // above the diagonal
        }
        place(
            width / kWidth,
            least(kPanelRows, rows - r),
            least(width, g_.n - begin),
            block,
            part.a + r * block.words,
            b,
            c + r * sums_stride_,
            init);
      }
    }
  }

  void place(
      int64_t vectors,
      int64_t rows,
      int64_t columns,
      const Block& block,
      const Word* a,
      const Word* b,
      Sum* c,
      const Sum* init) const {
    auto run = [&]<int W>() {
      if (rows == kPanelRows && columns == W * kWidth) {
        tile<F, W>(block, a, b, c, sums_stride_, init);
      } else {
        edge_tile<F, W>(rows, columns, block, a, b, c, sums_stride_, init);
      }
    };
    if (vectors == 1) {
      run.template operator()<1>();
    } else if (vectors == 2) {
      run.template operator()<2>();
    } else if constexpr (F::kTileVectors == 3) {
      run.template operator()<3>();
    }
  }

  /// Sums of these columns -> bf16 C.
  void narrow_rows(const Part& part, int64_t begin, int64_t end) const {
    if constexpr (F::kType != Type::kF64) {
      const int64_t columns = least(end, g_.n) - begin;
      for (int64_t i = part.first_row; i < part.last_row; ++i) {
        const Sum* from = part.sums + (i - part.first_row) * sums_stride_;
        Bf16* to = static_cast<Bf16*>(g_.c) + i * g_.c_stride + begin;
        for (int64_t c = 0; c < columns; ++c) {
          to[c] = narrow<Bf16>(from[c]);
        }
      }
    }
  }

  const Gemm& g_;
  const int64_t vectors_; // of B's columns
  const int64_t panels_;
  int64_t num_parts_ = 1;
  int64_t parts_across_ = 1;
  int64_t part_rows_ = 0;
  int64_t part_panels_ = 0;
  int64_t sums_stride_ = 0;
};

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

void gemm(const Gemm& gemm) {
  if (gemm.m > 0 && gemm.n > 0) {
    with_format(gemm.compute, [&]<class F>() { Product<F>(gemm).run(); });
  }
}

size_t packed_bytes(int64_t k, int64_t n, Type compute) {
  size_t bytes = 0;
  with_format(compute, [&]<class F>() {
    bytes = sizeof(typename F::Word) *
        static_cast<size_t>(
                words_of<F>(k) * ceil_div(n, kLanes<typename F::Sum>) *
                kLanes<typename F::Sum>);
  });
  return bytes;
}

void pack(int64_t k, int64_t n, Type compute, const Matrix& b, void* out) {
  Gemm gemm;
  gemm.n = n;
  gemm.k = k;
  gemm.b = b;
  gemm.compute = compute;
  with_format(compute, [&]<class F>() { Product<F>(gemm).pack(out); });
}

} // namespace accrue::tensor::ACCRUE_ISA
