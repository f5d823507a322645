// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "tensor/backend.h"

namespace accrue::tensor {

/// Returns the device that ACCRUE_TEST_DEVICE names, by default the CPU.
inline at::Device test_device() {
  const char* name = std::getenv("ACCRUE_TEST_DEVICE");
  at::Device device(name == nullptr || *name == '\0' ? "cpu" : name);
  // Programs are not linked to LibTorch's half for CUDA.
  if (device.is_cuda() &&
      dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    throw std::runtime_error(dlerror());
  }
  return device;
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
  static inline const at::Device device_ = test_device();
  const Backend& backend_ = *GetParam();
};

inline auto backends() {
  return ::testing::Values(&cpu_backend(), &portable_backend());
}
inline std::string backend_test_name(
    const ::testing::TestParamInfo<const Backend*>& backend) {
  return backend.param->name();
}

} // namespace accrue::tensor
