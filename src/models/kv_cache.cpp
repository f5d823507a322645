// SPDX-License-Identifier: Apache-2.0
#include "models/kv_cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scaled_dot_product_attention.h>

namespace accrue {

void append_to_kv_cache(
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

void decode_attention(
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
