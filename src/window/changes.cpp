#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "accrue/core/error.h"
#include "accrue/window/window.h"
#include "tensor/version.h"

// How a window learns what was done to its parameters and their gradients
// outside of it.

namespace accrue {

std::vector<Window::Found> Window::look() const {
  std::vector<Found> found;
  for (const at::Tensor& p : parameters_) {
    const bool has_memory = p.has_storage() && p.numel() > 0;
    found.push_back(
        {has_memory ? p.const_data_ptr() : nullptr,
         p.scalar_type(),
         p.requires_grad()});
  }
  return found;
}

/// Of each parameter: itself, or the first on its memory.
std::vector<size_t> Window::owners() const {
  std::vector<size_t> owners;
  std::map<const void*, size_t> first;
  for (const Found& found : look()) {
    const size_t i = owners.size();
    owners.push_back(
        found.memory != nullptr ? first.emplace(found.memory, i).first->second
                                : i);
  }
  return owners;
}

/// Forgets the accumulator of a parameter that was moved since.
void Window::settle(size_t i) {
  const at::Tensor& parameter = parameters_[i];
  at::Tensor& grad = parameters_[i].mutable_grad();
  at::Tensor& sums = accumulators_[i];
  const bool fits = sums.defined() && sums.sizes() == parameter.sizes() &&
      sums.device() == parameter.device() &&
      sums.scalar_type() ==
          (direct(i) ? parameter.scalar_type() : at::ScalarType::Float);
  if (grad.is_same(sums) && !(fits && direct(i))) {
    grad.reset();
  }
  if (!fits) {
    sums.reset();
    versions_[i] = 0;
    last_good_[i].reset();
  }
}

/// Remembers how gradients were left.
void Window::mark() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    versions_[i] = tensor::version_of(accumulators_[i]);
  }
  folds_ = tensor::num_folds;
}

/// What was done to parameters between windows is taken in by the first add().
void Window::check_parameters() {
  std::vector<Found> found = look();
  if (micro_batches_ == 0) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      settle(i);
    }
    found_ = std::move(found);
  } else if (found != found_) {
    auto first = std::mismatch(found.begin(), found.end(), found_.begin());
    state_ = State::kFailed;
    throw Error(fmt::format(
        "[window] parameter {} was frozen, unfrozen or moved since the first "
        "add(). Do that between windows; call begin() and repeat this one.",
        first.first - found.begin()));
  }
}

/// Throws for gradients that were changed since mark(): more than `folds` of
/// them, not counting zeros in place of zeros.
void Window::check_gradients(uint64_t folds) {
  auto refuse = [&](size_t i) {
    state_ = State::kFailed;
    throw Error(fmt::format(
        "[window] the gradient of parameter {} was changed by others than "
        "add(). Leave zero_grad(), backward() and clipping out from the first "
        "loss to commit; call begin() and repeat the window.",
        i));
  };
  std::vector<size_t> changed;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    const at::Tensor& sums = accumulators_[i];
    if (direct(i) && !added_[i] && !grad.defined()) {
      grad = sums; // after zero_grad()
    }
    const bool replaced = direct(i) ? !grad.is_same(sums) : grad.defined();
    if (direct(i) && added_[i] && replaced) {
      refuse(i);
    }
    if (replaced || tensor::version_of(sums) != versions_[i]) {
      changed.push_back(i);
    }
  }
  if (changed.size() <= folds) {
    return;
  }
  std::erase_if(changed, [&](size_t i) {
    const at::Tensor& grad = parameters_[i].grad();
    return !(direct(i) && added_[i]) && grad.defined() &&
        !grad.any().item<bool>();
  });
  if (changed.size() > folds) {
    refuse(changed.front());
  }
}

/// gradients() in the order of an optimizer's parameters.
std::vector<at::Tensor> Window::gradients_for(
    const std::vector<at::Tensor>& stepped) const {
  std::map<const void*, at::Tensor> left;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    left[parameters_[i].unsafeGetTensorImpl()] =
        added_[i] ? accumulators_[i] : at::Tensor();
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
