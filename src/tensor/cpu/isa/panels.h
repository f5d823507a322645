// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/cpu/isa/pack.h"

// Geometry of a matrix product: how k is divided into blocks, A and B into
// panels, and C among threads.

namespace accrue::tensor::ACCRUE_ISA {

/// Maximum number of rows of A that are packed together.
constexpr int64_t kBlockRows = 128;
/// Columns of B that are packed together. More of them would save packing A
/// again, but a panel of the narrow tiles of few registers has to stay in the
/// first-level cache.
constexpr int64_t kBlockColumns = kRegisters == 32 ? 768 : 1536;
/// Time of packing an element, in multiplications.
constexpr int64_t kPackingCost = 32;

/// Sizes of panels. A panel of A has the rows of a tile, one of B its columns.
template <class F>
struct Shape {
  static constexpr int64_t kWidth = kLanes<typename F::Sum>;
  static constexpr int64_t kPanelRows = F::kTileRows;
  static constexpr int64_t kPanelColumns = F::kTileVectors * kWidth;
  static constexpr int64_t kBlockPanels = kBlockColumns / kPanelColumns;
  static constexpr int64_t kSegment = segment_limit(F::kType);
  static constexpr int64_t kMaxWords = kSegment / F::kPerWord;
  /// Rows of A that are packed with one transposition: a part of a panel, or
  /// one or more panels.
  static constexpr int64_t kGroup =
      kPanelRows >= kWidth ? kWidth : kWidth / kPanelRows * kPanelRows;
  /// Whole panels that are whole groups.
  static constexpr int64_t kUnitRows =
      kPanelRows >= kWidth ? kPanelRows : kGroup;
  static constexpr int64_t kStepRows = kBlockRows / kUnitRows * kUnitRows;
};

/// Adjacent segments that are packed together.
struct Block {
  int64_t begin = 0; // index in k
  int64_t end = 0; // index in k
  int64_t words = 0;
  int64_t num_segments = 0;
  const int64_t* ends = nullptr; // ends of the segments in k
  int64_t own_end = 0; // end of the segment if the product lists none
};

/// Advances to the next block: as many whole segments as fit. Returns false
/// at the end of k.
template <class F>
static bool next_block(const Gemm& g, Block& block) {
  if (block.end >= g.k) {
    return false;
  }
  block.begin = block.end;
  if (g.segment_ends == nullptr) {
    block.num_segments = 1;
    block.end = block.own_end = min(block.begin + Shape<F>::kSegment, g.k);
    block.words = words_of<F>(block.end - block.begin);
    block.ends = &block.own_end;
    return true;
  }
  block.ends =
      block.ends == nullptr ? g.segment_ends : block.ends + block.num_segments;
  block.num_segments = block.words = 0;
  while (block.end < g.k) {
    int64_t end = block.ends[block.num_segments];
    int64_t words = words_of<F>(end - block.end);
    if (block.words + words > Shape<F>::kMaxWords) {
      break;
    }
    block.words += words;
    block.end = end;
    ++block.num_segments;
  }
  return true;
}

/// Panels of B.
template <class F>
struct Panels {
  int64_t vectors; // number of vectors in a row of B
  int64_t count; // number of panels

  ACCRUE_INLINE explicit Panels(int64_t n)
      : vectors(ceil_div(n, Shape<F>::kWidth)),
        count(ceil_div(vectors, F::kTileVectors)) {}

  /// First column of a panel. The last two panels share their vectors evenly.
  ACCRUE_INLINE int64_t column(int64_t panel) const {
    constexpr int64_t kMax = F::kTileVectors;
    bool uneven = kMax > 2 && vectors % kMax == 1 && count > 1;
    int64_t vector = panel * kMax - (uneven && panel == count - 1 ? 1 : 0);
    return min(vector, vectors) * Shape<F>::kWidth;
  }

  /// Offset in words of column `j` in a B that is packed as a whole.
  ACCRUE_INLINE int64_t whole_offset(const Block& block, int64_t j) const {
    return block.begin / F::kPerWord * vectors * Shape<F>::kWidth +
        j * block.words;
  }
};

/// Division of C among threads: a grid of parts of equal size.
struct Partition {
  int64_t num_parts = 1;
  int64_t parts_across = 1; // parts that share the columns
  int64_t rows = 0; // rows of a part
  int64_t panels = 0; // panels of a part
};

/// Chooses how many parts share the rows and how many the columns, so that the
/// largest part is small and little is packed.
template <class F>
static Partition partition(const Gemm& g, int64_t panels, int64_t parts) {
  using S = Shape<F>;
  Partition best;
  best.num_parts = parts;
  const int64_t row_panels = ceil_div(g.m, S::kPanelRows);
  int64_t min_cost = -1;
  for (int64_t across = 1; across <= parts; ++across) {
    if (parts % across != 0) {
      continue;
    }
    int64_t part_rows = ceil_div(row_panels, parts / across) * S::kPanelRows;
    int64_t part_panels = ceil_div(panels, across);
    int64_t columns = part_panels * S::kPanelColumns;
    int64_t packed = part_rows * ceil_div(part_panels, S::kBlockPanels) +
        (g.packed_b != nullptr ? 0 : columns);
    int64_t cost = part_rows * columns + kPackingCost * packed;
    if (min_cost < 0 || cost < min_cost) {
      min_cost = cost;
      best.parts_across = across;
      best.rows = part_rows;
      best.panels = part_panels;
    }
  }
  return best;
}

} // namespace accrue::tensor::ACCRUE_ISA
