// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <vector>

namespace accrue::tensor::cuda {

/// Copies of small arrays of integers on a device. All layers of a pass need
/// the same few, and so do passes over samples of the same lengths: each is
/// copied once while it is in use.
class DeviceArrays {
 public:
  /// Returns the values as a tensor [n] of int32 or int64. The host does not
  /// wait for the copy.
  at::Tensor get(
      std::vector<int64_t> values,
      at::ScalarType dtype,
      const at::Device& device);

 private:
  using Key = std::pair<std::vector<int64_t>, at::ScalarType>;

  static constexpr size_t kMost = 256;

  std::mutex mutex_;
  std::map<Key, at::Tensor> arrays_;
  std::list<Key> order_; // oldest first
};

} // namespace accrue::tensor::cuda
