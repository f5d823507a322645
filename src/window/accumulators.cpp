// SPDX-License-Identifier: Apache-2.0
#include "accrue/window/accumulators.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <map>
#include <utility>

#include "accrue/core/error.h"

namespace accrue {

Accumulators::Accumulators(std::vector<at::Tensor> parameters) {
  bool trained = false;
  for (size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor& parameter = parameters[i];
    const bool first =
        index_.emplace(parameter.unsafeGetTensorImpl(), parameters_.size())
            .second;
    trained |= parameter.requires_grad();
    if (first) {
      parameters_.push_back(std::move(parameter));
    } else if (parameter.requires_grad()) {
      throw Error(fmt::format(
          "[window] parameter {} is in the list twice. Give a tied parameter "
          "once.",
          i));
    }
  }
  if (!trained) {
    throw Error(
        "[window] no parameter requires a gradient. Nothing can be trained; "
        "call requires_grad_() on what should be.");
  }
  sums_.assign(parameters_.size(), std::vector<Sum>(1));
  begin();
}

bool Accumulators::in_grad(size_t i) const {
  return parameters_[i].scalar_type() == sum_type(i);
}

at::ScalarType Accumulators::sum_type(size_t i) const {
  return parameters_[i].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor Accumulators::of(const at::Tensor& parameter, size_t use) {
  if (!parameter.defined() || !parameter.requires_grad()) {
    return {};
  }
  const auto found = index_.find(parameter.unsafeGetTensorImpl());
  if (found == index_.end()) {
    return {};
  }
  std::vector<Sum>& uses = sums_[found->second];
  if (use >= uses.size()) {
    uses.resize(use + 1);
  }
  Sum& sum = uses[use];
  if (!sum.tensor.defined()) {
    at::NoGradGuard no_grad;
    sum.tensor = at::zeros_like(parameter.detach(), sum_type(found->second));
  }
  sum.added = true;
  return sum.tensor;
}

void Accumulators::begin() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    if (in_grad(i) && grad.defined()) {
      sums_[i][0].tensor = grad;
    }
    forget_if_moved(i);
    if (!in_grad(i)) {
      grad.reset();
    }
    for (Sum& sum : sums_[i]) {
      sum.added = false;
      if (sum.tensor.defined()) {
        sum.tensor.zero_();
      }
    }
  }
  mark();
}

void Accumulators::save(Saved& into) const {
  at::NoGradGuard no_grad;
  into.sums.resize(sums_.size());
  for (size_t i = 0; i < sums_.size(); ++i) {
    into.sums[i].resize(sums_[i].size());
    for (size_t use = 0; use < sums_[i].size(); ++use) {
      const Sum& sum = sums_[i][use];
      at::Tensor& copy = into.sums[i][use];
      if (!sum.added) {
        copy.reset();
      } else if (copy.defined()) {
        copy.copy_(sum.tensor);
      } else {
        copy = sum.tensor.clone();
      }
    }
  }
}

void Accumulators::restore(const Saved& saved) {
  if (saved.sums.size() > sums_.size()) {
    throw Error(fmt::format(
        "[window] got the sums of {} parameters for {}. Restore the state of a "
        "window over the same list.",
        saved.sums.size(),
        sums_.size()));
  }
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < sums_.size(); ++i) {
    for (size_t use = 0; use < sums_[i].size(); ++use) {
      Sum& sum = sums_[i][use];
      sum.added = false;
      if (sum.tensor.defined()) {
        sum.tensor.zero_();
      }
    }
  }
  for (size_t i = 0; i < saved.sums.size(); ++i) {
    for (size_t use = 0; use < saved.sums[i].size(); ++use) {
      if (const at::Tensor& copy = saved.sums[i][use]; copy.defined()) {
        of(parameters_[i], use).copy_(copy);
      }
    }
  }
  mark();
}

void Accumulators::merge() {
  at::NoGradGuard no_grad;
  const std::vector<size_t> owners = this->owners();
  for (size_t i = 0; i < sums_.size(); ++i) {
    Sum& whole = sums_[owners[i]][0];
    for (Sum& sum : sums_[i]) {
      if (&sum == &whole || !sum.added) {
        continue;
      }
      if (whole.added) {
        whole.tensor.add_(sum.tensor);
      } else {
        std::swap(whole.tensor, sum.tensor);
      }
      whole.added = true;
      sum.added = false;
    }
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (in_grad(i)) {
      const Sum& sum = sums_[i][0];
      parameters_[i].mutable_grad() = sum.added ? sum.tensor : at::Tensor();
    }
  }
}

void Accumulators::scale(double divisor) {
  at::NoGradGuard no_grad;
  for (at::Tensor& gradient : gradients()) {
    if (gradient.defined()) {
      gradient.div_(divisor);
    }
  }
}

std::vector<at::Tensor> Accumulators::parameters() const {
  std::vector<at::Tensor> parameters;
  const std::vector<size_t> owners = this->owners();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners[i] == i) {
      parameters.push_back(parameters_[i]);
    }
  }
  return parameters;
}

std::vector<at::Tensor> Accumulators::all() const {
  std::vector<at::Tensor> all;
  for (const std::vector<Sum>& uses : sums_) {
    for (const Sum& sum : uses) {
      if (sum.tensor.defined()) {
        all.push_back(sum.tensor);
      }
    }
  }
  return all;
}

std::vector<at::Tensor> Accumulators::gradients() const {
  std::vector<at::Tensor> gradients;
  const std::vector<size_t> owners = this->owners();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners[i] == i) {
      const Sum& sum = sums_[i][0];
      gradients.push_back(sum.added ? sum.tensor : at::Tensor());
    }
  }
  return gradients;
}

std::vector<at::Tensor> Accumulators::gradients_for(
    const std::vector<at::Tensor>& stepped) const {
  std::map<const void*, at::Tensor> left;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Sum& sum = sums_[i][0];
    left[parameters_[i].unsafeGetTensorImpl()] =
        sum.added ? sum.tensor : at::Tensor();
  }
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < stepped.size(); ++i) {
    auto found = left.find(stepped[i].unsafeGetTensorImpl());
    if (found == left.end() && stepped[i].requires_grad()) {
      throw Error(fmt::format(
          "[window] parameter {} of the optimizer is none of the window. Give "
          "both the same list.",
          i));
    }
    gradients.push_back(
        found != left.end() ? std::exchange(found->second, {}) : at::Tensor());
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (left[parameters_[i].unsafeGetTensorImpl()].defined()) {
      throw Error(fmt::format(
          "[window] parameter {} has a gradient, but the optimizer does not "
          "have it. Give both the same list, after tying or untying.",
          i));
    }
  }
  return gradients;
}

} // namespace accrue
