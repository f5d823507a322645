// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/isa/isa.h"

namespace accrue::tensor::ACCRUE_ISA {

const Kernels table = {
    .gemm = gemm,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .norm = norm,
    .norm_backward = norm_backward,
    .activate = activate,
    .activate_backward = activate_backward,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .row_products = row_products,
    .loss = loss,
    .sum_rows = sum_rows,
    .sum_squares = sum_squares,
    .dropout = dropout,
    .rotate = rotate,
    .adamw = adamw,
};

} // namespace accrue::tensor::ACCRUE_ISA
