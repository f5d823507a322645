// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "tensor/ops.h"
#include "tensor/parallel.h"

// How the operations get from tensors to memory, and how they fold.

namespace accrue::tensor {

/// Row `i` of x.
inline const void* row_of(const at::Tensor& x, int64_t i) {
  return static_cast<const char*>(x.const_data_ptr()) +
      static_cast<size_t>(i * x.stride(0)) * x.element_size();
}
inline void* mutable_row_of(const at::Tensor& x, int64_t i) {
  return static_cast<char*>(x.mutable_data_ptr()) +
      static_cast<size_t>(i * x.stride(0)) * x.element_size();
}

/// Rows of x [R, C] or a range of its columns as a matrix to be written.
inline MutableMatrix mutable_matrix(const at::Tensor& x) {
  return {x.mutable_data_ptr(), type_of(x), x.stride(0)};
}

/// gradients[i] += sums[0][i], then sums[1][i], … of sums [pieces, kinds,
/// width].
void add_in_order(
    const std::vector<at::Tensor>& gradients,
    const at::Tensor& sums);

/// gradients[i] [width] += the sums of the chunk's rows, piece by piece in
/// order. sum(first row, rows, sums [gradients, width]) makes those of one
/// piece; pieces are worked on in parallel.
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
