// SPDX-License-Identifier: Apache-2.0
#include "tensor/cuda/backend.h"

#include <array>
#include <limits>
#include <mutex>

#include "tensor/cuda/module.h"

namespace accrue::tensor {
namespace cuda {

Cut CudaBackend::cut(Type compute) const {
  if (compute == Type::kF64) {
    return PortableBackend::cut(compute);
  }
  // A chunk fills the device. One of the head is a segment, because logits are
  // the largest tensor of all.
  constexpr int64_t kChunkTokens = 16384;
  constexpr int64_t kHeadTokens = 2048;
  return {
      .by_sample = false,
      .chunk_tokens = kChunkTokens,
      .segment_tokens = std::numeric_limits<int64_t>::max(),
      .head_chunk_tokens = kHeadTokens,
      .head_segment_tokens = kHeadTokens};
}

} // namespace cuda

const Backend& cuda_backend(int index) {
  static std::mutex mutex;
  static auto* backends =
      new std::map<int, std::unique_ptr<const cuda::CudaBackend>>;
  const std::lock_guard lock(mutex);
  auto& backend = (*backends)[index];
  if (!backend) {
    backend = std::make_unique<const cuda::CudaBackend>(
        std::make_unique<const cuda::ModuleLauncher>(index));
  }
  return *backend;
}

} // namespace accrue::tensor
