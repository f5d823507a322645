// SPDX-License-Identifier: Apache-2.0
#include "models/qk_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>

namespace accrue {
namespace {

using tensor::Chunk;

/// Calls run(norm, first column, heads) for queries and for keys.
template <class Run>
void for_both_norms(
    const Block& block,
    const tensor::Heads& heads,
    const Run& run) {
  run(block.query_norm, int64_t{0}, heads.queries);
  run(block.key_norm, heads.width(), heads.keys);
}

/// Returns the chunk as a stream with one row per head of each token.
Chunk per_head(const Chunk& chunk, int64_t heads) {
  Chunk rows;
  rows.end = chunk.size() * heads;
  for (int64_t piece : chunk.pieces) {
    rows.pieces.push_back(piece * heads);
  }
  return rows;
}

/// Columns of x [R, …] as [R · heads, D] of the sum type.
at::Tensor head_rows(
    const at::Tensor& x,
    int64_t first,
    int64_t heads,
    int64_t dim,
    at::ScalarType dtype) {
  return tensor::columns(x, first, heads * dim)
      .to(dtype)
      .contiguous()
      .view({-1, dim});
}

} // namespace

void norm_heads(
    const Chunk& chunk,
    const at::Tensor& before,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& qkv) {
  for_both_norms(
      block,
      heads,
      [&](const tensor::Norm& norm, int64_t first, int64_t count) {
        at::Tensor x = head_rows(
            chunk.of(before),
            first,
            count,
            heads.dim,
            norm.weight.scalar_type());
        auto statistics = tensor::make_statistics(norm, x);
        at::Tensor y = tensor::norm(
            per_head(chunk, count), x, norm, statistics, tensor::type_of(x));
        tensor::columns(chunk.of(qkv), first, count * heads.dim)
            .copy_(y.view({chunk.size(), count * heads.dim}));
      });
}

void norm_heads_backward(
    const Chunk& chunk,
    const at::Tensor& before,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& dqkv,
    const HeadNormGradients& gradients) {
  for_both_norms(
      block,
      heads,
      [&](const tensor::Norm& norm, int64_t first, int64_t count) {
        at::ScalarType dtype = norm.weight.scalar_type();
        Chunk rows = per_head(chunk, count);
        at::Tensor x =
            head_rows(chunk.of(before), first, count, heads.dim, dtype);
        at::Tensor dy = head_rows(dqkv, first, count, heads.dim, dtype);
        auto statistics = tensor::make_statistics(norm, x);
        // For the statistics.
        tensor::norm(rows, x, norm, statistics, tensor::type_of(x));
        at::Tensor dx = at::zeros_like(x);
        tensor::norm_backward(
            rows,
            x,
            dy,
            norm,
            statistics,
            dx,
            first == 0 ? gradients.query : gradients.key);
        tensor::columns(dqkv, first, count * heads.dim)
            .copy_(dx.view({chunk.size(), count * heads.dim}));
      });
}

} // namespace accrue
