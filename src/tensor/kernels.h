#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/gemm.h"

// Loops over plain memory, without torch. They are compiled once per
// instruction set; kernels() picks one that the CPU has. Every result
// is a fixed sequence of operations per element: neither the number of rows in
// a call nor the number of threads is part of it, nor, in fp32 and bf16, the
// instruction set, if it has a fused multiply-add.

namespace accrue::tensor {

/// Activation functions.
enum class Curve : uint8_t { kGelu, kGeluTanh, kSilu };

/// Rows of a normalisation; all of the sum type.
struct NormRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t width = 0;
  const void* x = nullptr; // [rows, width]
  const void* weight = nullptr; // [width]
  const void* bias = nullptr; // [width]; nullptr: RMSNorm
  double epsilon = 0;
  void* mean = nullptr; // [rows], LayerNorm only
  void* rstd = nullptr; // [rows]
};

/// Logits and their cross-entropy.
struct LossRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t vocab = 0;
  void* logits = nullptr; // [rows, vocab]; becomes the gradient if wanted
  /// Of the gradient: that of logits, or kBf16, which takes up the first half
  /// of each row.
  Type gradient_type = Type::kF32;
  const int64_t* targets = nullptr; // [rows]
  const double* weights = nullptr; // [rows]
  double* losses = nullptr; // [rows], weight · loss
  bool gradient = false;
};

/// Elements of one sample at one site of dropout.
struct DropoutRange {
  uint64_t key = 0;
  uint64_t first = 0; // element of the sample
  int64_t count = 0;
  uint64_t threshold = 0; // probability · 2³²: random words below it drop
  double scale = 1; // of what is kept
};

/// Causal scores s [rows, stride] of one head, of the sum type: row i is over
/// its first `length` + i columns of `columns`, the others are masked.
struct ScoreRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;
  int64_t length = 0;
  double scale = 1;
  void* scores = nullptr;
  void* logsumexp = nullptr; // [rows]
};

/// One step of AdamW (arXiv 1711.05101).
struct AdamWStep {
  double lr = 0;
  double beta1 = 0;
  double beta2 = 0;
  double eps = 0;
  double weight_decay = 0;
  double correction1 = 1; // 1 - beta1^step
  double correction2 = 1; // 1 - beta2^step
};

/// One instruction set's.
struct Kernels {
  /// Uses all threads, or one when called from a parallel region.
  void (*gemm)(const Gemm& gemm);
  /// Size of a packed b, and packing it with all threads.
  size_t (*packed_bytes)(int64_t k, int64_t n, Type compute);
  void (*pack)(int64_t k, int64_t n, Type compute, const Matrix& b, void* out);

  /// y = norm(x); stores mean and rstd.
  void (*norm)(const NormRows& norm, void* y);
  /// dx += the gradient; sums [2, width] = those of weight and bias.
  void (*norm_backward)(
      const NormRows& norm,
      const void* dy,
      void* dx,
      void* sums);

  /// y = curve(x), or curve(gate) · x, all of `type`.
  void (*activate)(
      Curve curve,
      Type type,
      int64_t count,
      const void* gate,
      const void* x,
      void* y);
  /// The same y once more, and gradients from dy, which are of the sum type. y
  /// may be gate or x, dx may be dy.
  void (*activate_backward)(
      Curve curve,
      Type type,
      int64_t count,
      const void* gate,
      const void* x,
      const void* dy,
      void* y,
      void* dgate,
      void* dx);

  /// Scores become probabilities, masked ones 0; stores log Σ exp.
  void (*softmax)(const ScoreRows& rows);
  /// Scores become probabilities again, dp the gradient of the scores:
  /// scale · p · (dp - delta).
  void (*softmax_backward)(const ScoreRows& rows, const void* delta, void* dp);
  /// delta [rows] = Σ over columns of o · d; o of `type`, d of its sum type.
  void (*row_products)(
      Type type,
      int64_t rows,
      int64_t columns,
      const void* o,
      int64_t o_stride,
      const void* d,
      int64_t d_stride,
      void* delta);
  /// Cross-entropies and, in place, their gradients.
  void (*loss)(const LossRows& rows);
  /// sums [width] = Σ over rows of x.
  void (*sum_rows)(
      Type type,
      int64_t rows,
      int64_t width,
      const void* x,
      int64_t stride,
      void* sums);
  /// Σ x² in fp64, of the sum type.
  double (*sum_squares)(Type type, int64_t count, const void* x);
  /// y = base + mask · x; base may be nullptr, y may be x.
  void (*dropout)(
      const DropoutRange& range,
      Type type,
      const void* x,
      const void* base,
      void* y);
  /// Rotates x [rows, heads, dim] in place by the angles of positions [rows];
  /// backwards for gradients. cos and sin are [.., dim / 2] of the sum type.
  void (*rotate)(
      Type type,
      int64_t rows,
      int64_t heads,
      int64_t dim,
      int64_t stride,
      const int64_t* positions,
      const void* cos,
      const void* sin,
      bool back,
      void* x);
  /// Updates `count` parameters and their moments, all of the sum type.
  void (*adamw)(
      const AdamWStep& step,
      Type type,
      int64_t count,
      const void* gradient,
      void* parameter,
      void* average,
      void* square_average);
};

/// An instruction set that this CPU has.
struct InstructionSet {
  const char* name; // avx512bf16, avx512, avx2, neon, baseline
  const Kernels* kernels;
  /// Whether runs have the bits that all such sets share (docs/bits.md).
  bool fused_multiply_add;
};

/// All that this CPU has, the best first.
std::span<const InstructionSet> instruction_sets();

/// The one in use: the best, or the one that the environment's ACCRUE_ISA
/// names. Throws ConfigError if this CPU does not have that.
const InstructionSet& instruction_set();

/// Its kernels.
const Kernels& kernels();

} // namespace accrue::tensor
