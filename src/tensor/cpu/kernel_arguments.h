// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "accrue/tensor/activation.h"
#include "tensor/adamw_step.h"
#include "tensor/cpu/gemm.h"

// Arguments of the kernels. Pointers to const are inputs; the others are
// outputs, marked `out`, or are updated in place, marked `in, out`.

namespace accrue::tensor {

/// Rows of a normalisation; all of the sum type.
struct NormRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t width = 0;
  const void* x = nullptr; // [rows, width]
  const void* weight = nullptr; // [width]
  const void* bias = nullptr; // [width]; nullptr: RMSNorm
  double epsilon = 0;
  void* mean = nullptr; // out [rows], LayerNorm only; an input of the backward
  void* rstd = nullptr; // out [rows]; an input of the backward
};

/// Elements of an activation.
struct ActivationRange {
  Activation activation = Activation::kGelu;
  Type type = Type::kF32;
  int64_t count = 0;
  const void* gate = nullptr; // [count]; nullptr: not gated
  const void* x = nullptr; // [count]
  void* y = nullptr; // out [count]
};

/// Gradients of an ActivationRange, of the sum type.
struct ActivationGradients {
  const void* dy = nullptr; // [count]
  void* dgate = nullptr; // out [count] if gated
  void* dx = nullptr; // out [count]
};

/// Logits and their cross-entropy.
struct LossRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t vocab = 0;
  void* logits = nullptr; // in, out [rows, vocab]
  /// Type of the gradient that overwrites `logits`: that of the logits, or
  /// kBf16, packed into the first half of each row.
  Type gradient_type = Type::kF32;
  const int64_t* targets = nullptr; // [rows]
  const double* weights = nullptr; // [rows]
  double* losses = nullptr; // out [rows], weight · loss
  bool gradient = false; // whether to compute the gradient
};

/// Elements of one sample at one site of dropout; of the sum type.
struct DropoutRange {
  uint64_t key = 0;
  uint64_t first = 0; // element of the sample
  int64_t count = 0;
  uint64_t threshold = 0; // probability · 2³²: random words below it drop
  double scale = 1; // factor of elements that are not dropped
  Type type = Type::kF32;
  const void* x = nullptr; // [count]
  const void* base = nullptr; // [count]; nullptr: zeros
  void* y = nullptr; // out [count], may be x
};

/// Causal scores [rows, stride] of one head, of the sum type. Columns of row i
/// from `length` + i up to `columns` are masked.
struct ScoreRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;
  int64_t length = 0;
  double scale = 1;
  void* scores = nullptr; // in, out
  void* logsumexp = nullptr; // out [rows]; an input of the backward
};

/// Scalar products of rows of o, of `type`, with rows of d, of its sum type.
struct RowProducts {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  const void* o = nullptr; // [rows, o_stride]
  int64_t o_stride = 0;
  const void* d = nullptr; // [rows, d_stride]
  int64_t d_stride = 0;
  void* products = nullptr; // out [rows] of the sum type
};

/// Rows to be added up; all of the sum type.
struct RowSums {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t width = 0;
  const void* x = nullptr; // [rows, stride]
  int64_t stride = 0;
  void* sums = nullptr; // out [width]
};

/// Heads of queries and keys to be rotated. cos and sin [.., dim / 2] are of
/// the sum type and indexed by position.
struct RotaryRows {
  Type type = Type::kF32;
  int64_t rows = 0;
  int64_t heads = 0;
  int64_t dim = 0;
  int64_t stride = 0;
  const int64_t* positions = nullptr; // [rows]
  const void* cos = nullptr;
  const void* sin = nullptr;
  bool inverse = false; // by the opposite angles, for gradients
  void* x = nullptr; // in, out [rows, stride]
};

/// Parameters that AdamW updates; all of the sum type.
struct AdamWRange {
  Type type = Type::kF32;
  int64_t count = 0;
  const void* gradient = nullptr; // [count]
  void* parameter = nullptr; // in, out [count]
  void* average = nullptr; // in, out [count]
  void* square_average = nullptr; // in, out [count]
};

} // namespace accrue::tensor
