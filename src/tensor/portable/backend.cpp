// SPDX-License-Identifier: Apache-2.0
#include "tensor/portable/backend.h"

#include <limits>

namespace accrue::tensor {

Cut portable::PortableBackend::cut(Type /*compute*/) const {
  constexpr int64_t kHeadTokens = 2048;
  return {
      .by_sample = false,
      .chunk_tokens = 0, // one grain
      .segment_tokens = std::numeric_limits<int64_t>::max(),
      .head_chunk_tokens = 0,
      .head_segment_tokens = kHeadTokens};
}

const Backend& portable_backend() {
  static const portable::PortableBackend backend{};
  return backend;
}

} // namespace accrue::tensor
