// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "accrue/core/export.h"

namespace accrue {

/// Updates parameters in place from gradients that a Window has summed,
/// divided and clipped. State is kept in fp32 (fp64 for fp64 parameters); for
/// bf16 and fp16 parameters an fp32 master copy takes the updates, for slices
/// of other tensors a copy without gaps.
///
/// Parameters that share their memory are one parameter: the first stays.
///
/// Parameters may be loaded, frozen and unfrozen at any time, and given other
/// memory of the same shape and dtype. A master copy follows every write that
/// LibTorch counts, such as copy_() without gradients; writes through data()
/// are not counted. A frozen parameter has no state until its first gradient.
class ACCRUE_API Optimizer {
 public:
  explicit Optimizer(std::vector<at::Tensor> parameters);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update with the current learning rate. `gradients[i]` belongs to
  /// `parameters()[i]`, in the dtype of the state; an undefined one leaves its
  /// parameter alone and does not count as an update of it. Throws Error for a
  /// gradient of another shape, or a parameter that was moved or reshaped;
  /// nothing has been updated then.
  void step(std::span<const at::Tensor> gradients);

  double learning_rate() const {
    return learning_rate_;
  }
  void set_learning_rate(double value) {
    learning_rate_ = value;
  }
  const std::vector<at::Tensor>& parameters() const {
    return parameters_;
  }
  /// Updates made so far.
  int64_t steps() const {
    return steps_;
  }

  /// State that the next update depends on, apart from the parameters, keyed
  /// "<index of the parameter>.<slot>". The tensors alias the live state, so
  /// load_safetensors(path, optimizer.state()) restores it.
  [[nodiscard]] std::map<std::string, at::Tensor> state() const;

  /// Number of updates that belong to a state() that was restored.
  void set_steps(int64_t steps) {
    steps_ = steps;
  }

 protected:
  /// Zeros shaped like every parameter that has a state, saved and loaded as
  /// `slot`.
  std::vector<at::Tensor>& add_slot(const std::string& slot);

  /// Updates targets()[i] from gradients[i] for every defined gradient;
  /// steps() already counts this update.
  virtual void update(std::span<const at::Tensor> gradients) = 0;

  /// Updates of parameter i: steps() minus those in which it had no gradient.
  int64_t updates(size_t i) const;

  /// Tensors that take the updates: the parameters or their fp32 master copies.
  const std::vector<at::Tensor>& targets() const {
    return targets_;
  }

 private:
  void make_state(size_t i);
  void refresh(size_t i);
  bool has_master(size_t i) const;

  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> aliases_; // of parameters after the last step
  std::vector<uint32_t> versions_; // after the last step
  std::vector<at::Tensor> targets_;
  std::vector<at::Tensor> missed_; // int64, steps without a gradient
  std::map<std::string, std::vector<at::Tensor>> slots_;
  double learning_rate_ = 0;
  int64_t steps_ = 0;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  /// Decoupled: lr · weight_decay is taken off the weight, not added to the
  /// gradient.
  double weight_decay = 0.01;
  /// Difference from torch::optim::AdamW: tensors of fewer than two dimensions
  /// (biases, norms) are not decayed unless this is set.
  bool decay_vectors = false;
};

/// AdamW, arXiv 1711.05101. On a CPU it has the same bits on every machine
/// (docs/bits.md); elsewhere it is LibTorch's fused operator.
class ACCRUE_API AdamW : public Optimizer {
 public:
  explicit AdamW(std::vector<at::Tensor> parameters, AdamWOptions = {});

 private:
  void update(std::span<const at::Tensor> gradients) override;

  AdamWOptions options_;
  std::vector<at::Tensor>& exp_avg_;
  std::vector<at::Tensor>& exp_avg_sq_;
};

struct SgdOptions {
  double lr = 1e-2;
  /// 0 = plain gradient descent.
  double momentum = 0.9;
  /// Added to the gradient as weight_decay · weight, as torch::optim::SGD does;
  /// not for tensors of fewer than two dimensions.
  double weight_decay = 0;
};

/// Stochastic gradient descent with (undamped, non-Nesterov) momentum.
class ACCRUE_API Sgd : public Optimizer {
 public:
  explicit Sgd(std::vector<at::Tensor> parameters, SgdOptions = {});

 private:
  void update(std::span<const at::Tensor> gradients) override;

  SgdOptions options_;
  std::vector<at::Tensor>* momentum_ = nullptr;
};

} // namespace accrue
