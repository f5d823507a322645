// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "accrue/core/error.h"
#include "accrue/window/accumulators.h"
#include "tensor/version.h"

// How the sums meet `.grad`, which autograd and the user's program write, and
// how changes of parameters and gradients by others are noticed.

namespace accrue {

void Accumulators::mark() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Sum& sum = sums_[i][0];
    if (in_grad(i)) {
      parameters_[i].mutable_grad() = sum.tensor;
    }
    sum.version = tensor::version_of(sum.tensor);
  }
}

void Accumulators::collect_gradients() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    Sum& sum = sums_[i][0];
    if (in_grad(i)) {
      sum.added |= !grad.is_same(sum.tensor) ||
          tensor::version_of(sum.tensor) != sum.version;
      sum.tensor = grad;
    } else if (grad.defined()) {
      sum.added = true;
      if (sum.tensor.defined()) {
        sum.tensor.add_(grad);
      } else {
        sum.tensor = grad.to(sum_type(i));
      }
      grad.reset();
    }
  }
}

void Accumulators::expose_gradients() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (const Sum& sum = sums_[i][0]; !in_grad(i) && sum.added) {
      parameters_[i].mutable_grad() =
          sum.tensor.to(parameters_[i].scalar_type());
    }
  }
}

void Accumulators::check(bool first) {
  check_parameters(first);
  check_gradients();
}

std::vector<Accumulators::Found> Accumulators::find_parameters() const {
  std::vector<Found> found;
  for (const at::Tensor& p : parameters_) {
    const bool has_memory = p.has_storage() && p.numel() > 0;
    found.push_back(
        {has_memory ? tensor::address_of(p) : nullptr,
         p.scalar_type(),
         p.requires_grad()});
  }
  return found;
}

/// Index of the first parameter on the memory of each.
std::vector<size_t> Accumulators::owners() const {
  std::vector<size_t> owners;
  std::map<const void*, size_t> first;
  for (const Found& found : find_parameters()) {
    const size_t i = owners.size();
    owners.push_back(
        found.memory != nullptr ? first.emplace(found.memory, i).first->second
                                : i);
  }
  return owners;
}

/// Drops sums that no longer have the shape, type or device of the parameter.
void Accumulators::forget_if_moved(size_t i) {
  const at::Tensor& parameter = parameters_[i];
  at::Tensor& grad = parameter.mutable_grad();
  for (Sum& sum : sums_[i]) {
    const bool fits = sum.tensor.defined() &&
        sum.tensor.sizes() == parameter.sizes() &&
        sum.tensor.device() == parameter.device() &&
        sum.tensor.scalar_type() == sum_type(i);
    if (grad.is_same(sum.tensor) && !(fits && in_grad(i))) {
      grad.reset();
    }
    if (!fits) {
      sum = {};
    }
  }
}

/// The first micro-batch of a window takes in what was done to parameters since
/// the last window.
void Accumulators::check_parameters(bool first) {
  std::vector<Found> found = find_parameters();
  if (first) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      forget_if_moved(i);
    }
    found_ = std::move(found);
  } else if (found != found_) {
    auto changed = std::mismatch(found.begin(), found.end(), found_.begin());
    throw Error(fmt::format(
        "[window] parameter {} was frozen, unfrozen or moved since the first "
        "add(). Do that between windows; call begin() and repeat this one.",
        changed.first - found.begin()));
  }
}

/// Zeros in place of zeros are no change.
void Accumulators::check_gradients() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    const Sum& sum = sums_[i][0];
    const bool summed = in_grad(i) && sum.added;
    if (in_grad(i) && !sum.added && !grad.defined()) {
      grad = sum.tensor; // after zero_grad()
    }
    const bool replaced =
        in_grad(i) ? !grad.is_same(sum.tensor) : grad.defined();
    if (!replaced && tensor::version_of(sum.tensor) == sum.version) {
      continue;
    }
    if (summed || !grad.defined() || grad.any().item<bool>()) {
      throw Error(fmt::format(
          "[window] the gradient of parameter {} was changed by others than "
          "add(). Leave zero_grad(), backward() and clipping out from the "
          "first loss to commit; call begin() and repeat the window.",
          i));
    }
  }
}

} // namespace accrue
