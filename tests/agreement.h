// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "operations.h"
#include "support.h"

namespace accrue::tensor {

/// Bound of max |got - want| / max |want| between backends.
inline double bound(Type compute) {
  return compute == Type::kF64 ? 1e-12 : compute == Type::kF32 ? 3e-6 : 2e-2;
}

/// A test of the operations of a backend against the kernels of the CPU.
class AgreementTest : public OperationTest {
 protected:
  at::Tensor random(at::IntArrayRef shape, Type type = Type::kF64) const {
    return torch::randn(shape, at::kDouble).to(scalar_type(type));
  }
  /// Whether the backend looks for indices out of bounds: those of a device are
  /// checked before they are moved there.
  static bool checks_indices(const Backend& backend) {
    return &backend != &cuda_test_backend() && device_.is_cpu();
  }
  /// Compares a result of the backend with that of the CPU's kernels.
  static void expect_agree(
      const at::Tensor& got,
      const at::Tensor& want,
      Type compute,
      const std::string& what) {
    accrue::testing::expect_near(
        got.cpu().to(at::kDouble), want.to(at::kDouble), bound(compute), what);
  }
  /// Compares the results of run(backend, place) for the CPU's kernels and for
  /// the backend; place(tensor) returns the tensor on the device to run on.
  template <class Run>
  void expect_agreement(const Run& run, Type compute) const {
    auto want = run(cpu_backend(), [](const at::Tensor& t) { return t; });
    auto got = run(backend_, [&](const at::Tensor& t) { return on_device(t); });
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].scalar_type(), want[i].scalar_type());
      expect_agree(got[i], want[i], compute, "result " + std::to_string(i));
    }
  }
  Linear on_device(const Linear& layer) const {
    Linear moved{
        OperationTest::on_device(layer.weight),
        OperationTest::on_device(layer.bias),
        layer.layout};
    if (const Adapter* adapter = layer.adapter.get()) {
      moved.adapter = std::make_shared<Adapter>(Adapter{
          on_device(adapter->a), on_device(adapter->b), adapter->scale});
    }
    if (const TrainedRows* rows = layer.rows.get()) {
      moved.rows = std::make_shared<TrainedRows>(
          TrainedRows{on_device(rows->ids), on_device(rows->values)});
    }
    return moved;
  }
  using OperationTest::on_device;
};

inline constexpr Type kTypes[] = {Type::kF64, Type::kF32, Type::kBf16};
inline const std::vector<int64_t> kOffsets = {0, 3, 4, 13};

} // namespace accrue::tensor
