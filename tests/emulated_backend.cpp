// SPDX-License-Identifier: Apache-2.0
#include "emulated_backend.h"

#include <torch/types.h>

#include <memory>

#include "emulator.h"
#include "tensor/cuda/backend.h"
#include "tensor/portable/arithmetic.h"

namespace accrue::tensor {
namespace {

class EmulatedBackend final : public cuda::CudaBackend {
 public:
  EmulatedBackend()
      : CudaBackend(std::make_unique<const cuda::emulator::Emulator>()) {}

  /// Several grains to a chunk, several chunks to a micro-batch.
  Cut cut(Type compute) const override {
    Cut cut = CudaBackend::cut(compute);
    if (compute != Type::kF64) {
      cut.chunk_tokens = 40;
      cut.head_chunk_tokens = 24;
      cut.head_segment_tokens = 8;
    }
    return cut;
  }

  void attention(
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp) const override {
    cpu_backend().attention(offsets, qkv, heads, out, logsumexp);
  }
  at::Tensor attention_backward(
      const Chunk& chunk,
      std::span<const int64_t> offsets,
      const at::Tensor& qkv,
      const Heads& heads,
      const at::Tensor& out,
      const at::Tensor& logsumexp,
      const at::Tensor& dout) const override {
    return cpu_backend()
        .attention_backward(
            chunk, offsets, qkv, heads, out, logsumexp, portable::widen(dout))
        .to(dout.scalar_type());
  }

 protected:
  /// Sums one product after the other, so that rows are independent.
  void multiply(
      const at::Tensor& a,
      const at::Tensor& b,
      const at::Tensor& c,
      bool add) const override {
    at::Tensor sum = add
        ? c.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)
        : torch::zeros(c.sizes(), at::kFloat);
    const at::Tensor wide_a = portable::widen(a).t().contiguous();
    const at::Tensor wide_b = portable::widen(b).contiguous();
    for (int64_t k = 0; k < wide_b.size(0); ++k) {
      sum.addcmul_(wide_a[k].unsqueeze(1), wide_b[k].unsqueeze(0));
    }
    c.copy_(sum);
  }
};

/// Lets `ACCRUE_BACKEND=cuda accrue_tests` run models on it.
[[maybe_unused]] const bool registered = [] {
  register_backend(emulated_cuda_backend());
  return true;
}();

} // namespace

const Backend& emulated_cuda_backend() {
  static const EmulatedBackend backend;
  return backend;
}

} // namespace accrue::tensor
