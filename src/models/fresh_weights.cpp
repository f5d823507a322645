// SPDX-License-Identifier: Apache-2.0
#include "models/fresh_weights.h"

#include <ATen/ops/empty.h>

#include "accrue/core/random.h"

namespace accrue {

uint64_t hash_name(const std::string& name) {
  uint64_t hash = 0;
  for (char c : name) {
    hash = mix(hash, static_cast<unsigned char>(c));
  }
  return hash;
}

void fill_uniform(at::Tensor& tensor, double bound, uint64_t key) {
  CounterRandom random(key);
  at::Tensor values = at::empty(tensor.sizes(), at::kDouble);
  double* out = values.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    out[i] = bound * (2 * random.uniform(static_cast<uint64_t>(i)) - 1);
  }
  tensor.copy_(values);
}

void fill_normal(at::Tensor& tensor, double std, uint64_t key) {
  CounterRandom random(key);
  at::Tensor values = at::empty(tensor.sizes(), at::kDouble);
  double* out = values.mutable_data_ptr<double>();
  auto count = static_cast<uint64_t>(tensor.numel());
  for (uint64_t i = 0; i < count; i += 2) {
    auto pair = random.normal(i / 2);
    out[i] = std * pair[0];
    if (i + 1 < count) {
      out[i + 1] = std * pair[1];
    }
  }
  tensor.copy_(values);
}

} // namespace accrue
