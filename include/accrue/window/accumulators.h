// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "accrue/core/export.h"

namespace accrue {

/// The gradient sums of a window: one tensor per use of a parameter, in fp32
/// (fp64 for fp64 parameters).
///
/// A parameter has several uses where a model makes its gradients at different
/// times, such as an embedding that is also the output head. Each use is summed
/// apart until merge(), because the order of additions, and with it the bits,
/// would otherwise depend on how a batch is split. Parameters that share their
/// memory are uses of the first of them.
///
/// The sum of the first use of an fp32 or fp64 parameter is the parameter's
/// `.grad`, so that autograd adds in place. Gradients of bf16 and fp16
/// parameters are taken from `.grad` after every backward pass.
///
/// Not thread-safe.
class ACCRUE_API Accumulators {
 public:
  /// Throws Error if no parameter requires a gradient, or if one that does is
  /// in the list twice.
  explicit Accumulators(std::vector<at::Tensor> parameters);
  Accumulators(const Accumulators&) = delete;
  Accumulators& operator=(const Accumulators&) = delete;

  /// The sum that a model adds the gradient of a use of `parameter` to, zeros
  /// at first. From here on the parameter counts as one with a gradient.
  /// Undefined if the parameter is not trained or not in the list.
  at::Tensor of(const at::Tensor& parameter, size_t use = 0);

  /// Sets every sum to zero; no parameter has a gradient then.
  void begin();

  /// Call before every micro-batch, `first` for the first of a window. Throws
  /// Error for parameters that were frozen, unfrozen or moved since the first
  /// one, and for gradients that others have written.
  void check(bool first);
  /// Moves the gradients that autograd has put into `.grad` into the sums.
  void collect_gradients();
  /// Call after every micro-batch: later writes to the sums are by others.
  void mark();

  /// Copies of the sums: the state of an unfinished window.
  struct Saved {
    /// By parameter and use; undefined: no gradient.
    std::vector<std::vector<at::Tensor>> sums;
  };
  /// Saves the sums into `into` and reuses its memory.
  void save(Saved& into) const;
  /// Throws Error for the sums of other parameters.
  void restore(const Saved& saved);

  /// Adds the sums of all uses into that of the first. Clears `.grad` of
  /// parameters without a gradient, because LibTorch's optimizers would take
  /// its zeros for a gradient.
  void merge();
  /// Divides every gradient.
  void scale(double divisor);

  /// The parameters in the order given, frozen ones included. Only the first of
  /// parameters that share their memory is listed.
  [[nodiscard]] std::vector<at::Tensor> parameters() const;
  /// The sums of all uses.
  [[nodiscard]] std::vector<at::Tensor> all() const;
  /// Sums of the first uses, in the order of parameters(); undefined where a
  /// parameter has had no gradient.
  [[nodiscard]] std::vector<at::Tensor> gradients() const;
  /// The same in the order of an optimizer's parameters. Throws Error for a
  /// trained one that is not in the list, or a gradient that it would miss.
  [[nodiscard]] std::vector<at::Tensor> gradients_for(
      const std::vector<at::Tensor>& stepped) const;
  /// Puts gradients where LibTorch's optimizers look for them.
  void expose_gradients();

 private:
  struct Sum {
    at::Tensor tensor; // undefined until the first gradient
    bool added = false; // it has a gradient in this window
    uint32_t version = 0; // of the tensor after the last write by this object
  };
  /// State of a parameter that must not change inside a window.
  struct Found {
    const void* memory;
    at::ScalarType dtype;
    bool trained;

    bool operator==(const Found&) const = default;
  };

  bool in_grad(size_t i) const;
  at::ScalarType sum_type(size_t i) const;
  std::vector<Found> find_parameters() const;
  std::vector<size_t> owners() const;
  void forget_if_moved(size_t i);
  void check_parameters(bool first);
  void check_gradients();

  std::vector<at::Tensor> parameters_;
  std::unordered_map<const void*, size_t> index_; // by handle
  std::vector<std::vector<Sum>> sums_; // by parameter and use; one use or more
  std::vector<Found> found_; // at the first check() of a window
};

} // namespace accrue
