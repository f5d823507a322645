// SPDX-License-Identifier: Apache-2.0
#include "models/heads.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros_like.h>

namespace accrue {
namespace {

using tensor::Chunk;

/// Calls run(norm, first column, heads) for queries and for keys.
template <class Run>
void for_head_norms(
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
    const at::Tensor& raw,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& qkv) {
  for_head_norms(
      block,
      heads,
      [&](const tensor::Norm& norm, int64_t first, int64_t count) {
        at::Tensor x = head_rows(
            chunk.of(raw), first, count, heads.dim, norm.weight.scalar_type());
        auto statistics = tensor::make_statistics(norm, x);
        at::Tensor y =
            tensor::norm(per_head(chunk, count), x, norm, statistics);
        tensor::columns(chunk.of(qkv), first, count * heads.dim)
            .copy_(y.view({chunk.size(), count * heads.dim}));
      });
}

void norm_heads_backward(
    const Chunk& chunk,
    const at::Tensor& raw,
    const tensor::Heads& heads,
    const Block& block,
    const at::Tensor& dqkv,
    const HeadNormGradients& gradients) {
  for_head_norms(
      block,
      heads,
      [&](const tensor::Norm& norm, int64_t first, int64_t count) {
        at::ScalarType dtype = norm.weight.scalar_type();
        Chunk rows = per_head(chunk, count);
        at::Tensor x = head_rows(chunk.of(raw), first, count, heads.dim, dtype);
        at::Tensor dy = head_rows(dqkv, first, count, heads.dim, dtype);
        auto statistics = tensor::make_statistics(norm, x);
        tensor::norm(rows, x, norm, statistics); // for the statistics
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

void remember(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    KeyValueCache& cache) {
  int64_t tokens = qkv.size(0);
  auto store = [&](int64_t first, const at::Tensor& into) {
    into.narrow(1, cache.size, tokens)
        .copy_(tensor::columns(qkv, first, heads.keys * heads.dim)
                   .view({tokens, heads.keys, heads.dim})
                   .transpose(0, 1));
  };
  store(heads.width(), cache.keys[block]);
  store(heads.rotated_width(), cache.values[block]);
}

void attend(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    const KeyValueCache& cache,
    const at::Tensor& out) {
  int64_t length = cache.size + 1;
  int64_t group = heads.group();
  // The query heads that share a key head are the rows of one matrix.
  at::Tensor q = tensor::columns(qkv, 0, heads.width())
                     .reshape({heads.keys, group, heads.dim});
  out.copy_(at::scaled_dot_product_attention(
                q.unsqueeze(0),
                cache.keys[block].narrow(1, 0, length).unsqueeze(0),
                cache.values[block].narrow(1, 0, length).unsqueeze(0))
                .reshape({1, heads.width()}));
}

} // namespace accrue
