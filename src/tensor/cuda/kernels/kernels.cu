// SPDX-License-Identifier: Apache-2.0

// All kernels. NVRTC compiles this file at run time, without any header but the
// ones here; tests compile it with nvcc, and with g++ for an emulator.
//
// Matrices are row-major, their strides in elements. Blocks of kernels that add
// across threads have a multiple of 32 threads; a result may depend on the
// number of threads, never on the number of rows of a call. Products that are
// added are written as fmaf(): compile with --fmad=false, so that the compiler
// adds no others (docs/bits.md). ops.h says what the operations compute.

#include "types.cuh"

#include "block.cuh"

#include "activation.cuh"
#include "philox.cuh"

#include "folds.cuh"

#include "adamw.cuh"

// Kernels that exist for several types of elements, under names that end in the
// type.

namespace f32 {
using Element = float;
#define KERNEL(name) extern "C" __global__ void name##_f32
#include "typed.cuh"
#undef KERNEL
} // namespace f32

namespace brain {
using Element = bf16;
#define KERNEL(name) extern "C" __global__ void name##_bf16
#include "typed.cuh"
#undef KERNEL
} // namespace brain

namespace f64 {
using Element = double;
#define KERNEL(name) extern "C" __global__ void name##_f64
#include "squares.cuh"
#undef KERNEL
} // namespace f64
