// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "tensor/stream.h"
#include "tensor/type.h"

// Types of elements, and tensors of them. Included by ops.h.

namespace accrue::tensor {

/// Returns the type of a tensor of fp32, fp64 or bf16. Throws Error for others.
Type type_of(const at::Tensor& tensor);
at::ScalarType scalar_type(Type type);

/// Returns the type in which products on the device of `sibling` read
/// activations and their gradients: the sum type, or `compute`.
Type operand_type(const at::Tensor& sibling, Type compute);

/// Returns how the tokens of a micro-batch are cut on the device of `sibling`.
Cut cut_of(const at::Tensor& sibling, Type compute);

/// Returns a tensor that is not initialised, on the device of `sibling`.
at::Tensor empty(Type type, at::IntArrayRef shape, const at::Tensor& sibling);

/// Returns a view of columns [begin, begin + count) of x [R, C].
at::Tensor columns(const at::Tensor& x, int64_t begin, int64_t count);

} // namespace accrue::tensor
