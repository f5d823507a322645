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

 protected:
  void multiply(
      const at::Tensor& a,
      const at::Tensor& b,
      const at::Tensor& c,
      bool add) const override {
    const at::Tensor sum =
        torch::matmul(portable::widen(a), portable::widen(b));
    c.copy_(add ? portable::widen(c) + sum : sum);
  }
  bool has_flash_attention(const at::Tensor&, const Heads&) const override {
    return false;
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
