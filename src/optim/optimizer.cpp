#include "accrue/optim/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <set>
#include <utility>

#include "accrue/core/error.h"
#include "core/functions.h"
#include "tensor/ops.h"

namespace accrue {
namespace {

constexpr const char* kMaster = "master";

at::ScalarType state_dtype(const at::Tensor& parameter) {
  return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

} // namespace

Optimizer::Optimizer(std::vector<at::Tensor> parameters)
    : parameters_(std::move(parameters)) {
  std::set<const void*> memory;
  std::erase_if(parameters_, [&](const at::Tensor& p) {
    return p.numel() > 0 && !memory.insert(p.const_data_ptr()).second;
  });
  bool low_precision = false;
  for (const at::Tensor& parameter : parameters_) {
    at::Tensor target = parameter.detach(); // shares memory
    if (target.scalar_type() != state_dtype(parameter)) {
      target = target.to(at::kFloat);
      low_precision = true;
    }
    targets_.push_back(std::move(target));
  }
  if (low_precision) {
    slots_[kMaster] = targets_;
  }
}

std::vector<at::Tensor>& Optimizer::add_slot(const std::string& slot) {
  std::vector<at::Tensor>& tensors = slots_[slot];
  for (const at::Tensor& target : targets_) {
    tensors.push_back(at::zeros_like(target));
  }
  return tensors;
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
  ++steps_;
  update(gradients);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradients[i].defined()) {
      continue;
    }
    // Updates of memory don't do that, and copies of weights must know.
    parameters_[i].unsafeGetTensorImpl()->bump_version();
    if (!targets_[i].is_alias_of(parameters_[i])) {
      parameters_[i].copy_(targets_[i]);
    }
  }
}

std::map<std::string, at::Tensor> Optimizer::state() const {
  std::map<std::string, at::Tensor> state;
  for (const auto& [slot, tensors] : slots_) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      state[fmt::format("{}.{}", i, slot)] = tensors[i];
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
  step.correction1 = 1 - integer_power(options_.beta1, steps());
  step.correction2 = 1 - integer_power(options_.beta2, steps());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) {
      continue;
    }
    const at::Tensor& target = targets()[i];
    bool decays = options_.decay_vectors || target.dim() >= 2;
    step.weight_decay = decays ? options_.weight_decay : 0;
    if (target.is_cpu()) {
      at::Tensor gradient = gradients[i];
      if (!tensor::is_plain({gradient, target})) {
        gradient = at::empty_like(target).copy_(gradient);
      }
      tensor::adamw(step, gradient, target, exp_avg_[i], exp_avg_sq_[i]);
      continue;
    }
    at::_fused_adamw_(
        target,
        gradients[i],
        exp_avg_[i],
        exp_avg_sq_[i],
        /*max_exp_avg_sqs=*/{},
        at::scalar_tensor(
            static_cast<double>(steps()),
            at::TensorOptions().dtype(at::kFloat).device(target.device())),
        step.lr,
        step.beta1,
        step.beta2,
        step.weight_decay,
        step.eps,
        /*amsgrad=*/false,
        /*maximize=*/false);
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
