// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/kernel_arguments.h"
#include "tensor/environment.h"

// Loops over plain memory, without torch. They are compiled once per
// instruction set; kernels() picks one that the CPU has. Every result
// is a fixed sequence of operations per element: neither the number of rows in
// a call nor the number of threads is part of it, nor, in fp32 and bf16, the
// instruction set, if it has a fused multiply-add.

namespace accrue::tensor {

/// The kernel table of one instruction set.
struct Kernels {
  /// Computes a product with all threads, or with one when called from a
  /// parallel region.
  void (*gemm)(const Gemm& g);
  /// Bytes of a packed B; depends on n, k and compute only.
  size_t (*packed_bytes)(const Gemm& g);
  /// Packs B with all threads: out [packed_bytes]. A and C are not used.
  void (*pack)(const Gemm& g, void* out);

  /// y [rows, width] = norm(x); stores mean and rstd.
  void (*norm)(const NormRows& n, void* y);
  /// dx += the gradient of x; sums [2, width] = gradients of weight and bias.
  void (
      *norm_backward)(const NormRows& n, const void* dy, void* dx, void* sums);

  /// y = f(x), or f(gate) · x.
  void (*activate)(const ActivationRange& range);
  /// Computes y again, and gradients from dy. y may be gate or x, and dx may be
  /// dy.
  void (*activate_backward)(
      const ActivationRange& range,
      const ActivationGradients& gradients);

  /// Scores become probabilities, masked ones 0; stores log Σ exp.
  void (*softmax)(const ScoreRows& s);
  /// Scores become probabilities again, dp becomes the gradient of the scores:
  /// scale · p · (dp - delta).
  void (*softmax_backward)(const ScoreRows& s, const void* delta, void* dp);
  /// products = Σ over columns of o · d.
  void (*row_products)(const RowProducts& r);
  /// Computes cross-entropies and, in place of the logits, their gradients.
  void (*loss)(const LossRows& l);
  /// sums = Σ over rows of x.
  void (*sum_rows)(const RowSums& r);
  /// Returns Σ x² in fp64 for x [count] of the sum type.
  double (*sum_squares)(Type type, int64_t count, const void* x);
  /// y = base + mask · x.
  void (*dropout)(const DropoutRange& range);
  /// Rotates x by the angles of its positions.
  void (*rotate)(const RotaryRows& r);
  /// Updates parameters and their moments.
  void (*adamw)(const AdamWStep& step, const AdamWRange& range);
};

/// Returns all instruction sets that this CPU has, the fastest first.
std::span<const InstructionSet> instruction_sets();

/// Returns the kernels of instruction_set().
const Kernels& kernels();

} // namespace accrue::tensor
