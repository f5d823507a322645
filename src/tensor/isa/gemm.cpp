#include <omp.h>
#include <stdlib.h>

#include "tensor/isa/isa.h"
#include "tensor/isa/pack.h"
#include "tensor/isa/tile.h"

// A matrix product after Goto and van de Geijn (doi 10.1145/1356052.1356053):
// panels of up to 48 columns of B stay in the caches, panels of 8 rows of A
// pass by, and a tile of C is held in registers.

namespace accrue::tensor::ACCRUE_ISA {
namespace {

constexpr int64_t kPanelVectors = 3; // columns of B, in vectors of 64 bytes
constexpr int64_t kBlockRows = 128; // of A, packed at once by a thread
constexpr int64_t kBlockPanels = 16; // of B, packed at once by all threads
constexpr int64_t kSerialWork = 1 << 17; // multiplications; below: one thread

/// Vectors of the next panel when `left` remain: balanced at the end.
constexpr int64_t panel_vectors(int64_t left) {
  return left == 4 ? 2 : least(left, kPanelVectors);
}

/// Memory of a thread that grows and stays.
template <int purpose>
void* scratch(size_t bytes) {
  struct Buffer {
    void* data = nullptr;
    size_t size = 0;
    ~Buffer() {
      free(data);
    }
  };
  static thread_local Buffer buffer;
  if (buffer.size < bytes) {
    free(buffer.data);
    buffer.size = (bytes + 63) / 64 * 64;
    buffer.data = aligned_alloc(64, buffer.size);
  }
  return buffer.data;
}

template <class F>
class Product {
 public:
  using Word = typename F::Word;
  using Sum = typename F::Sum;

  explicit Product(const Gemm& g) : g_(g) {}

  void run() {
    bool alone = omp_in_parallel() != 0 || g_.m * g_.n * g_.k < kSerialWork;
    int threads = alone ? 1 : omp_get_max_threads();
    if (g_.packed_b == nullptr) {
      packed_ = static_cast<Word*>(
          scratch<0>(sizeof(Word) * kMostWords * kBlockColumns));
    }
    sums_ = static_cast<Sum*>(g_.c);
    sums_stride_ = g_.c_stride;
    if (g_.c_type == Type::kBf16) {
      sums_stride_ = least(kBlockColumns, g_.n);
      sums_ = static_cast<Sum*>(
          scratch<1>(sizeof(Sum) * static_cast<size_t>(g_.m * sums_stride_)));
    }
    if (threads == 1) {
      work(0, 1);
    } else {
#pragma omp parallel num_threads(threads)
      work(omp_get_thread_num(), omp_get_num_threads());
    }
  }

  /// Packs all of B with all threads.
  void pack(void* out) {
    packed_ = static_cast<Word*>(out);
    Block block;
    int64_t fixed_end = 0;
    while (next(block, fixed_end)) {
      Word* to = packed_ + whole_offset(block, 0);
#pragma omp parallel
      pack_columns(
          block, 0, g_.n, to, omp_get_thread_num(), omp_get_num_threads());
    }
  }

 private:
  static constexpr int64_t kMostWords = segment_limit(F::kType) / F::kPerWord;
  static constexpr int64_t kBlockColumns =
      kBlockPanels * kPanelVectors * F::kLanes;

  static void barrier(int threads) {
    if (threads > 1) {
#pragma omp barrier
    }
  }

  /// Where the panel of column `j` starts in a B that is packed as a whole.
  int64_t whole_offset(const Block& block, int64_t j) const {
    int64_t padded = ceil_div(g_.n, F::kLanes) * F::kLanes;
    return block.begin / F::kPerWord * padded + j * block.words;
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
      block.words = ceil_div(block.end - block.begin, F::kPerWord);
      block.ends = &fixed_end;
      return true;
    }
    block.ends = block.ends == nullptr ? g_.segments.data()
                                       : block.ends + block.num_segments;
    block.num_segments = block.words = 0;
    while (block.end < g_.k) {
      int64_t end = block.ends[block.num_segments];
      int64_t words = ceil_div(end - block.end, F::kPerWord);
      if (block.words + words > kMostWords) {
        break;
      }
      block.words += words;
      block.end = end;
      ++block.num_segments;
    }
    return true;
  }

  /// A thread's share of it all: rows, and columns where rows are few.
  void work(int thread, int threads) {
    int64_t row_panels = ceil_div(g_.m, kPanelRows);
    int row_parts = threads;
    while (row_parts > 1 &&
           (threads % row_parts != 0 || row_panels < 4 * row_parts)) {
      --row_parts;
    }
    int64_t part = thread % row_parts;
    int64_t first = row_panels * part / row_parts * kPanelRows;
    int64_t last =
        least(row_panels * (part + 1) / row_parts * kPanelRows, g_.m);
    for (int64_t j = 0; j < g_.n; j += kBlockColumns) {
      int64_t columns = least(kBlockColumns, g_.n - j);
      Block block;
      int64_t fixed_end = 0;
      while (next(block, fixed_end)) {
        if (g_.packed_b == nullptr) {
          pack_columns(block, j, columns, packed_, thread, threads);
          barrier(threads);
        }
        for (int64_t i = first; i < last; i += kBlockRows) {
          multiply(
              block,
              j,
              columns,
              i,
              least(kBlockRows, last - i),
              thread / row_parts,
              threads / row_parts);
        }
        if (g_.packed_b == nullptr) {
          barrier(threads); // before the next block overwrites this one
        }
      }
      if (g_.c_type == Type::kBf16) {
        barrier(threads);
        narrow_rows(j, columns, thread, threads);
        barrier(threads);
      }
    }
  }

  /// Calls run(panel, first column, vectors) for the columns [j, j + columns).
  template <class Run>
  void for_panels(int64_t j, int64_t columns, const Run& run) const {
    int64_t end = j + columns;
    for (int64_t panel = 0; j < end; ++panel) {
      int64_t vectors = panel_vectors(ceil_div(g_.n - j, F::kLanes));
      run(panel, j, vectors);
      j += vectors * F::kLanes;
    }
  }

  void pack_columns(
      const Block& block,
      int64_t j,
      int64_t columns,
      Word* out,
      int thread,
      int threads) const {
    for_panels(j, columns, [&](int64_t panel, int64_t column, int64_t vectors) {
      if (panel % threads != thread) {
        return;
      }
      Word* to = out + (column - j) * block.words;
      int64_t width = vectors * F::kLanes;
      for (int64_t s = 0, k = block.begin; s < block.num_segments; ++s) {
        int64_t count = block.ends[s] - k;
        for (int64_t v = 0; v < width; v += F::kLanes) {
          int64_t filled = least(F::kLanes, g_.n - column - v);
          with_type<F>(g_.b, k, column + v, [&](const auto* from) {
            pack_lanes<F>(
                from,
                g_.b.row_stride,
                g_.b.col_stride,
                count,
                filled,
                [to, width, v](int64_t word, auto words) {
                  store(to + word * width + v, words);
                });
          });
        }
        k += count;
        to += ceil_div(count, F::kPerWord) * width;
      }
    });
  }

  /// Panels of rows [i, i + rows) in the calling thread's scratch memory.
  const Word* pack_rows(const Block& block, int64_t i, int64_t rows) const {
    auto* out =
        static_cast<Word*>(scratch<2>(sizeof(Word) * kMostWords * kBlockRows));
    int64_t panel = kPanelRows * block.words;
    for (int64_t r = 0; r < rows; r += F::kLanes) {
      Word* to = out + r * block.words;
      int64_t filled = least(F::kLanes, rows - r);
      for (int64_t s = 0, k = block.begin; s < block.num_segments; ++s) {
        int64_t count = block.ends[s] - k;
        with_type<F>(g_.a, i + r, k, [&](const auto* from) {
          pack_lanes<F>(
              from,
              g_.a.col_stride,
              g_.a.row_stride,
              count,
              filled,
              [to, panel](int64_t word, auto words) {
                Word* place = to + word * kPanelRows;
                if constexpr (F::kLanes == kPanelRows) {
                  store(place, words);
                } else { // two panels at once
                  store(
                      place,
                      __builtin_shufflevector(
                          words, words, 0, 1, 2, 3, 4, 5, 6, 7));
                  store(
                      place + panel,
                      __builtin_shufflevector(
                          words, words, 8, 9, 10, 11, 12, 13, 14, 15));
                }
              });
        });
        k += count;
        to += ceil_div(count, F::kPerWord) * kPanelRows;
      }
    }
    return out;
  }

  void multiply(
      const Block& block,
      int64_t j,
      int64_t columns,
      int64_t i,
      int64_t rows,
      int64_t part,
      int64_t parts) const {
    static constexpr Sum kZeros[kPanelVectors * F::kLanes] = {};
    const Word* a = pack_rows(block, i, rows);
    bool starts = block.begin == 0 && !g_.add;
    bool narrow = g_.c_type == Type::kBf16;
    for (int64_t r = 0; r < rows; r += kPanelRows) {
      Sum* row = sums_ + (i + r) * sums_stride_ - (narrow ? j : 0);
      for_panels(j, columns, [&](int64_t panel, int64_t column, int64_t width) {
        if (panel % parts != part) {
          return;
        }
        const Word* b = g_.packed_b != nullptr
            ? static_cast<const Word*>(g_.packed_b) +
                whole_offset(block, column)
            : packed_ + (column - j) * block.words;
        const Sum* init = nullptr;
        if (starts) {
          init = g_.bias != nullptr ? static_cast<const Sum*>(g_.bias) + column
                                    : kZeros;
        }
        place(
            width,
            least(kPanelRows, rows - r),
            least(width * F::kLanes, g_.n - column),
            block,
            a + r * block.words,
            b,
            row + column,
            init);
      });
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
      if (rows == kPanelRows && columns == W * F::kLanes) {
        tile<F, W>(block, a, b, c, sums_stride_, init);
      } else {
        edge_tile<F, W>(rows, columns, block, a, b, c, sums_stride_, init);
      }
    };
    switch (vectors) {
      case 3:
        return run.template operator()<3>();
      case 2:
        return run.template operator()<2>();
      default:
        return run.template operator()<1>();
    }
  }

  /// Sums of these columns -> bf16 C.
  void narrow_rows(int64_t j, int64_t columns, int thread, int threads) const {
    if constexpr (F::kType != Type::kF64) {
      for (int64_t i = thread; i < g_.m; i += threads) {
        const Sum* from = sums_ + i * sums_stride_;
        Bf16* to = static_cast<Bf16*>(g_.c) + i * g_.c_stride + j;
        for (int64_t c = 0; c < columns; ++c) {
          to[c] = narrow<Bf16>(from[c]);
        }
      }
    }
  }

  const Gemm& g_;
  Word* packed_ = nullptr;
  Sum* sums_ = nullptr;
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
      return run.template operator()<Bf16Pair>();
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
                ceil_div(k, F::kPerWord) * ceil_div(n, F::kLanes) * F::kLanes);
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
