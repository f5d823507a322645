// SPDX-License-Identifier: Apache-2.0
#include "tensor/cuda/device_arrays.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <utility>

namespace accrue::tensor::cuda {

at::Tensor DeviceArrays::get(
    std::vector<int64_t> values,
    at::ScalarType dtype,
    const at::Device& device) {
  const std::lock_guard lock(mutex_);
  Key key{std::move(values), dtype};
  if (auto found = arrays_.find(key); found != arrays_.end()) {
    return found->second;
  }
  // Only from pinned memory does the host not wait for a copy.
  at::Tensor host = at::empty(
      {static_cast<int64_t>(key.first.size())},
      at::TensorOptions().dtype(dtype).pinned_memory(device.is_cuda()));
  for (size_t i = 0; i < key.first.size(); ++i) {
    if (dtype == at::kInt) {
      host.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(key.first[i]);
    } else {
      host.mutable_data_ptr<int64_t>()[i] = key.first[i];
    }
  }
  at::Tensor array = host.to(device, /*non_blocking=*/true);
  if (order_.size() >= kMost) {
    arrays_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  arrays_.emplace(std::move(key), array);
  return array;
}

} // namespace accrue::tensor::cuda
