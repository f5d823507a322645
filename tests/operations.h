// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>
#include <string>

#include "tensor/backend.h"

namespace accrue::tensor {

/// A test of the operations of each backend, on the device that
/// ACCRUE_TEST_DEVICE names, by default the CPU.
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

  const at::Device device_{[] {
    const char* name = std::getenv("ACCRUE_TEST_DEVICE");
    return std::string(name == nullptr || *name == '\0' ? "cpu" : name);
  }()};
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
