// SPDX-License-Identifier: Apache-2.0
#include "accrue/optim/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <utility>

#include "accrue/core/error.h"
#include "core/functions.h"
#include "tensor/ops.h"
#include "tensor/version.h"

namespace accrue {
namespace {

at::ScalarType state_dtype(const at::Tensor& parameter) {
  return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

} // namespace

Optimizer::Optimizer(std::vector<at::Tensor> parameters)
    : parameters_(std::move(parameters)) {
  std::set<const void*> memory;
  std::erase_if(parameters_, [&](const at::Tensor& p) {
    return p.numel() > 0 && !memory.insert(tensor::address_of(p)).second;
  });
  aliases_.resize(parameters_.size());
  versions_.resize(parameters_.size());
  targets_.resize(parameters_.size());
  missed_.resize(parameters_.size());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].requires_grad()) {
      make_state(i);
    }
  }
}

void Optimizer::make_state(size_t i) {
  const at::Tensor& parameter = parameters_[i];
  aliases_[i] = parameter.detach(); // shares memory
  versions_[i] = tensor::version_of(parameter);
  const at::ScalarType dtype = state_dtype(parameter);
  // Kernels go through memory without gaps: a slice has a copy, too.
  const bool own = parameter.scalar_type() == dtype &&
      parameter.is_non_overlapping_and_dense();
  targets_[i] = own ? aliases_[i] : aliases_[i].to(dtype).contiguous();
  missed_[i] = at::full({}, steps_, at::kLong);
  for (auto& [slot, tensors] : slots_) {
    tensors[i] = at::zeros_like(targets_[i]);
  }
}

bool Optimizer::has_master(size_t i) const {
  return !targets_[i].is_same(aliases_[i]);
}

int64_t Optimizer::updates(size_t i) const {
  return steps_ - missed_[i].item<int64_t>();
}

std::vector<at::Tensor>& Optimizer::add_slot(const std::string& slot) {
  std::vector<at::Tensor>& tensors = slots_[slot];
  for (const at::Tensor& target : targets_) {
    tensors.push_back(target.defined() ? at::zeros_like(target) : target);
  }
  return tensors;
}

/// Takes in what was done to a parameter since the last step.
void Optimizer::refresh(size_t i) {
  const at::Tensor& parameter = parameters_[i];
  if (!targets_[i].defined()) {
    make_state(i); // unfrozen
    return;
  }
  if (!tensor::same_layout(parameter, aliases_[i])) {
    throw Error(fmt::format(
        "[optimizer] parameter {} has another shape, dtype or device than when "
        "the optimizer was made. Make the optimizer after the last change.",
        i));
  }
  if (tensor::unchanged(parameter, aliases_[i], versions_[i])) {
    return;
  }
  const bool master = has_master(i);
  aliases_[i] = parameter.detach();
  at::Tensor& target = targets_[i];
  if (!master) {
    target = aliases_[i];
    return;
  }
  // The digits below the parameter's stay where its value is the same.
  at::Tensor same = target.to(parameter.scalar_type()).eq(aliases_[i]);
  target.copy_(at::where(same, target, aliases_[i].to(target.scalar_type())));
}

void Optimizer::step(std::span<const at::Tensor> gradients) {
  if (gradients.size() != parameters_.size()) {
    throw Error(fmt::format(
        "[optimizer] got {} gradients for {} parameters. Give the window "
        "and the optimizer the same list.",
        gradients.size(),
        parameters_.size()));
  }
  at::NoGradGuard no_grad;
  std::set<const void*> memory;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradients[i].defined()) {
      continue;
    }
    if (parameters_[i].numel() > 0 &&
        !memory.insert(tensor::address_of(parameters_[i])).second) {
      throw Error(fmt::format(
          "[optimizer] parameter {} was tied to another. Give the gradient of "
          "both to the first of them, as a window does.",
          i));
    }
    if (gradients[i].sizes() != parameters_[i].sizes()) {
      throw Error(fmt::format(
          "[optimizer] gradient {} has the shape [{}], its parameter [{}]. "
          "Give the window and the optimizer the same list.",
          i,
          fmt::join(gradients[i].sizes(), ", "),
          fmt::join(parameters_[i].sizes(), ", ")));
    }
    refresh(i);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradients[i].defined() && missed_[i].defined()) {
      missed_[i].add_(1);
    }
  }
  ++steps_;
  update(gradients);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradients[i].defined()) {
      continue;
    }
    // Copies of weights must know.
    tensor::count_write(parameters_[i]);
    if (has_master(i)) {
      parameters_[i].copy_(targets_[i]);
    }
    versions_[i] = tensor::version_of(parameters_[i]);
  }
}

std::map<std::string, at::Tensor> Optimizer::state() const {
  std::map<std::string, at::Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!targets_[i].defined()) {
      continue;
    }
    for (const auto& [slot, tensors] : slots_) {
      state[fmt::format("{}.{}", i, slot)] = tensors[i];
    }
    state[fmt::format("{}.missed", i)] = missed_[i];
    if (has_master(i)) {
      state[fmt::format("{}.master", i)] = targets_[i];
    }
  }
  return state;
}

AdamW::AdamW(std::vector<at::Tensor> parameters, AdamWOptions options)
    : Optimizer(std::move(parameters)),
      options_(options),
      exp_avg_(add_slot("exp_avg")),
      exp_avg_sq_(add_slot("exp_avg_sq")) {
  set_learning_rate(options.lr);
}

void AdamW::update(std::span<const at::Tensor> gradients) {
  tensor::AdamWStep step;
  step.lr = learning_rate();
  step.beta1 = options_.beta1;
  step.beta2 = options_.beta2;
  step.eps = options_.eps;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) {
      continue;
    }
    const at::Tensor& target = targets()[i];
    step.correction1 = 1 - integer_power(options_.beta1, updates(i));
    step.correction2 = 1 - integer_power(options_.beta2, updates(i));
    bool decays = options_.decay_vectors || target.dim() >= 2;
    step.weight_decay = decays ? options_.weight_decay : 0;
    tensor::adamw(step, gradients[i], target, exp_avg_[i], exp_avg_sq_[i]);
  }
}

Sgd::Sgd(std::vector<at::Tensor> parameters, SgdOptions options)
    : Optimizer(std::move(parameters)), options_(options) {
  if (options.momentum != 0) {
    momentum_ = &add_slot("momentum");
  }
  set_learning_rate(options.lr);
}

void Sgd::update(std::span<const at::Tensor> gradients) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) {
      continue;
    }
    const at::Tensor& target = targets()[i];
    at::Tensor direction = gradients[i];
    if (options_.weight_decay != 0 && target.dim() >= 2) {
      direction = direction.add(target.mul(options_.weight_decay));
    }
    if (momentum_ != nullptr) {
      direction = (*momentum_)[i].mul_(options_.momentum).add_(direction);
    }
    // Products and sums apart: add() with a factor fuses them on some CPUs.
    target.sub_(direction.mul(learning_rate()));
  }
}

} // namespace accrue
