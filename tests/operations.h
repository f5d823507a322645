// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>

#include "emulated_backend.h"
#include "tensor/backend.h"
#include "test_device.h"

namespace accrue::tensor {

/// Returns the operations on CUDA devices: those of test_device(), or emulated.
inline const Backend& cuda_test_backend() {
  using accrue::testing::test_device;
  const at::Device device = test_device();
  return device.is_cuda() ? cuda_backend(device.index())
                          : emulated_cuda_backend();
}

inline constexpr Activation kActivations[] = {
    Activation::kGelu,
    Activation::kGeluTanh,
    Activation::kSilu};

/// A test of the operations of each backend on tensors of test_device().
class OperationTest : public ::testing::TestWithParam<const Backend*> {
 protected:
  void SetUp() override {
    if (!device_.is_cpu() && is_cpu_backend()) {
      GTEST_SKIP() << "the cpu backend takes no tensors of other devices";
    }
  }

  bool is_cpu_backend() const {
    return &backend_ == &cpu_backend();
  }
  at::Tensor on_device(const at::Tensor& x) const {
    return x.defined() ? x.to(device_) : x;
  }

  // Known before LibTorch looks for devices, which it does once.
  static inline const at::Device device_ = accrue::testing::test_device();
  const Backend& backend_ = *GetParam();
};

inline auto backends() {
  return ::testing::Values(
      &cpu_backend(), &portable_backend(), &cuda_test_backend());
}
inline std::string backend_test_name(
    const ::testing::TestParamInfo<const Backend*>& backend) {
  return backend.param->name();
}

} // namespace accrue::tensor
