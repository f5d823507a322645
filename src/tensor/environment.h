// SPDX-License-Identifier: Apache-2.0
#pragma once

// Choices that the environment makes, read once per process.

namespace accrue::tensor {

struct Kernels; // tensor/cpu/kernels.h

/// An instruction set that this CPU has.
struct InstructionSet {
  const char* name; // avx512bf16, avx512, avx2, neon, baseline
  const Kernels* kernels;
  /// Whether runs have the bits that all such sets share (docs/bits.md).
  bool fused_multiply_add;
};

/// Returns the instruction set in use: the fastest of this CPU, or the one that
/// ACCRUE_ISA names. Throws ConfigError if this CPU does not have that.
const InstructionSet& instruction_set();

/// Returns the name of the backend of CPU tensors, "cpu" or "portable":
/// ACCRUE_BACKEND, by default "cpu". Throws ConfigError for any other value.
const char* backend_name();

} // namespace accrue::tensor
