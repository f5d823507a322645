// SPDX-License-Identifier: Apache-2.0

// Kernels for one type of elements: KERNEL(name) begins a kernel, and Element
// is the type.

#include "activate.cuh"
#include "columns.cuh"
#include "dropout.cuh"
#include "loss.cuh"
#include "norm.cuh"
#include "rotary.cuh"
#include "squares.cuh"
