// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"
#include "tensor/stream.h"

namespace accrue::tensor {

/// Adds sums[0][i], then sums[1][i], … of sums [pieces, kinds, width] to
/// gradients[i].
void add_in_order(
    const std::vector<at::Tensor>& gradients,
    const at::Tensor& sums);

/// Adds the sums of the chunk's rows to gradients[i] [width], piece by piece in
/// order. sum(first row, rows, sums [gradients, width]) computes the sums of
/// one piece; threads share the pieces.
template <class Sum>
void fold_pieces(
    const Chunk& chunk,
    const std::vector<at::Tensor>& gradients,
    const Sum& sum) {
  const at::Tensor& like = gradients[0];
  int64_t width = like.numel();
  auto count = static_cast<int64_t>(chunk.pieces.size());
  auto kinds = static_cast<int64_t>(gradients.size());
  at::Tensor sums = empty(type_of(like), {count, kinds, width});
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t first = i > 0 ? chunk.pieces[static_cast<size_t>(i - 1)] : 0;
      sum(first,
          chunk.pieces[static_cast<size_t>(i)] - first,
          mutable_row_of(sums, i));
    }
  });
  add_in_order(gradients, sums);
}

} // namespace accrue::tensor
