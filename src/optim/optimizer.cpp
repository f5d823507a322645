#include "accrue/optim/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <set>
#include <utility>

#include "accrue/core/error.h"

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
    // Fused updates don't do that, and copies of weights must know.
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
  struct Group {
    std::vector<at::Tensor> targets, gradients, exp_avgs, exp_avg_sqs, steps;
  };
  at::Tensor step = at::scalar_tensor(
      static_cast<double>(steps()), at::TensorOptions().dtype(at::kFloat));
  auto run = [&](bool decayed) {
    Group group;
    for (size_t i = 0; i < gradients.size(); ++i) {
      bool decays = options_.decay_vectors || targets()[i].dim() >= 2;
      if (gradients[i].defined() && decays == decayed) {
        group.targets.push_back(targets()[i]);
        group.gradients.push_back(gradients[i]);
        group.exp_avgs.push_back(exp_avg_[i]);
        group.exp_avg_sqs.push_back(exp_avg_sq_[i]);
        group.steps.push_back(step);
      }
    }
    if (!group.targets.empty()) {
      at::_fused_adamw_(
          group.targets,
          group.gradients,
          group.exp_avgs,
          group.exp_avg_sqs,
          /*max_exp_avg_sqs=*/{},
          group.steps,
          learning_rate(),
          options_.beta1,
          options_.beta2,
          decayed ? options_.weight_decay : 0,
          options_.eps,
          /*amsgrad=*/false,
          /*maximize=*/false);
    }
  };
  run(true);
  run(false);
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
      direction = direction.add(target, options_.weight_decay);
    }
    if (momentum_ != nullptr) {
      direction = (*momentum_)[i].mul_(options_.momentum).add_(direction);
    }
    target.add_(direction, -learning_rate());
  }
}

} // namespace accrue
