// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/fold.h"

#include "tensor/ops.h"

namespace accrue::tensor {

void add_in_order(
    const std::vector<at::Tensor>& gradients,
    const at::Tensor& sums) {
  int64_t width = sums.size(2);
  auto kinds = static_cast<int64_t>(gradients.size());
  auto add = [&]<class T>() {
    for (int64_t kind = 0; kind < kinds; ++kind) {
      T* total = gradients[static_cast<size_t>(kind)].mutable_data_ptr<T>();
      const T* from = sums.const_data_ptr<T>() + kind * width;
      for (int64_t piece = 0; piece < sums.size(0); ++piece) {
        for (int64_t i = 0; i < width; ++i) {
          total[i] += from[piece * kinds * width + i];
        }
      }
    }
  };
  if (type_of(sums) == Type::kF64) {
    add.operator()<double>();
  } else {
    add.operator()<float>();
  }
}

} // namespace accrue::tensor
