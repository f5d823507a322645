// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drive/micro_batching.h"
#include "report/progress.h"
#include "run/task.h"

namespace accrue {

/// How one parameter's gradient compares with that of a reference.
struct TensorCheck {
  std::string name;
  /// |split - reference| / |reference|, Frobenius norms.
  double relative_error = 0;
  /// Largest error that the dtype allows (docs/window.md).
  double gate = 0;
  bool bits_equal = false;

  bool passed() const {
    return relative_error <= gate; // false for NaN
  }
};

/// One window split as planned against the same window done another way.
struct Verification {
  /// "unsplit", "per sample" or, on a GPU, "per grain".
  std::string reference;
  int64_t reference_micro_batch = 0;
  double loss = 0;
  double reference_loss = 0;
  std::vector<TensorCheck> tensors;

  bool passed() const;
};

/// Gradients of the first window split as train does it, against the window run
/// with the micro-batches of a reference. Throws MemoryError if a sample does
/// not fit alone.
Verification verify(
    Task& task,
    const drive::MicroBatching& planned,
    const drive::MicroBatching& reference,
    report::Progress& progress);

/// Largest relative error allowed for a tensor of layer `layer` (0 embedding,
/// 1..num_layers blocks, num_layers + 1 head): 1e-10 in fp64, else
/// 4 · 1.03^(L + 1 - l) · ε (arXiv 2506.09280, theorem 5.3).
double gradient_gate(Dtype dtype, int64_t num_layers, int64_t layer);

} // namespace accrue
