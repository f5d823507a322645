// SPDX-License-Identifier: Apache-2.0
#include "emulator.h"

// The kernels, compiled as C++.

namespace accrue::tensor::cuda::emulator {
namespace {

#include "tensor/cuda/kernels/kernels.cu"

} // namespace

const Table& all_kernels() {
#define ACCRUE_ENTRY(space, name) \
  { #name, kernel(space::name) }
#define ACCRUE_ENTRIES(name) \
  ACCRUE_ENTRY(f32, name##_f32), ACCRUE_ENTRY(brain, name##_bf16)
  static const Table table = {
      ACCRUE_ENTRIES(activate),
      ACCRUE_ENTRIES(activate_backward),
      ACCRUE_ENTRIES(column_partials),
      ACCRUE_ENTRIES(cross_entropy),
      ACCRUE_ENTRIES(dropout),
      ACCRUE_ENTRIES(norm),
      ACCRUE_ENTRIES(norm_input_gradient),
      ACCRUE_ENTRIES(norm_partials),
      ACCRUE_ENTRIES(rotate),
      ACCRUE_ENTRIES(square_parts),
      {"square_parts_f64", kernel(f64::square_parts_f64)},
      {"adamw", kernel(adamw)},
      {"embed_fold", kernel(embed_fold)},
      {"embed_rows_fold", kernel(embed_rows_fold)},
      {"fold_partials", kernel(fold_partials)}};
  return table;
}

} // namespace accrue::tensor::cuda::emulator
