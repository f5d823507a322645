// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace accrue::tensor {

/// Shape of attention: qkv is [T, (H + 2K) · D].
struct Heads {
  int64_t queries = 0; // H
  int64_t keys = 0; // K, divides H: arXiv 2305.13245
  int64_t dim = 0; // D

  /// Number of query heads that share a key/value head.
  int64_t group() const {
    return queries / keys;
  }
  int64_t width() const {
    return queries * dim;
  }
  /// Width of queries and keys, which rotary embeddings rotate.
  int64_t rotated_width() const {
    return (queries + keys) * dim;
  }
  int64_t qkv_width() const {
    return (queries + 2 * keys) * dim;
  }
};

} // namespace accrue::tensor
