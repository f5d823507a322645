// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/ops.h"

namespace accrue {

/// Keys and values of the tokens that a sequence began with.
struct KeyValueCache {
  int64_t size = 0; // tokens
  int64_t max_tokens = 0;
  /// Per block [K, max_tokens, D] in the compute type.
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
};

/// Appends keys and values of new tokens, from qkv [T, (H + 2K) * D], to the
/// cache.
void append_to_kv_cache(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    KeyValueCache& cache);

/// out [1, H * D] = attention of one new token to all tokens in the cache and
/// to itself.
void decode_attention(
    const at::Tensor& qkv,
    const tensor::Heads& heads,
    size_t block,
    const KeyValueCache& cache,
    const at::Tensor& out);

} // namespace accrue
