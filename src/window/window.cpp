#include "accrue/window/window.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "accrue/core/error.h"
#include "tensor/ops.h"
#include "tensor/version.h"

namespace accrue {
namespace {

/// Added to the norm when the clip factor is computed, as
/// torch.nn.utils.clip_grad_norm_ does.
constexpr double kClipEpsilon = 1e-6;

double global_norm(const std::vector<at::Tensor>& tensors) {
  double squares = 0;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) {
      double value = tensor::l2_norm(tensor);
      squares += value * value;
    }
  }
  return std::sqrt(squares);
}

std::string first_nonfinite(const std::vector<at::Tensor>& gradients) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined() &&
        !std::isfinite(tensor::l2_norm(gradients[i]))) {
      return fmt::format("parameter {}", i);
    }
  }
  return "their global norm";
}

} // namespace

Window::Window(std::vector<at::Tensor> parameters, WindowOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  if (std::none_of(parameters_.begin(), parameters_.end(), [](const auto& p) {
        return p.requires_grad();
      })) {
    throw Error(
        "[window] no parameter requires a gradient. Nothing can be trained; "
        "call requires_grad_() on what should be.");
  }
  std::set<const void*> seen;
  size_t i = 0;
  std::erase_if(parameters_, [&](const at::Tensor& p) {
    const bool twice = !seen.insert(p.unsafeGetTensorImpl()).second;
    if (twice && p.requires_grad()) {
      throw Error(fmt::format(
          "[window] parameter {} is in the list twice. Give a tied parameter "
          "once.",
          i));
    }
    ++i;
    return twice;
  });
  accumulators_.resize(parameters_.size());
  versions_.resize(parameters_.size());
  last_good_.resize(parameters_.size());
  begin();
}

void Window::begin() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    at::Tensor& sums = accumulators_[i];
    if (direct(i) && grad.defined()) {
      sums = grad;
    }
    settle(i);
    grad = direct(i) ? sums : at::Tensor();
    if (sums.defined()) {
      sums.zero_();
    }
  }
  added_.assign(parameters_.size(), false);
  mark();
  state_ = State::kOpen;
  loss_sum_ = weight_ = 0;
  micro_batches_ = skipped_ = 0;
}

bool Window::direct(size_t i) const {
  auto dtype = parameters_[i].scalar_type();
  return dtype == at::kFloat || dtype == at::kDouble;
}

std::vector<at::Tensor> Window::parameters() const {
  std::vector<at::Tensor> parameters;
  const std::vector<size_t> owners = this->owners();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners[i] == i) {
      parameters.push_back(parameters_[i]);
    }
  }
  return parameters;
}

bool Window::add(const LossSum& loss) {
  if (state_ != State::kOpen) {
    throw Error(fmt::format(
        "[window] add() after {}. Call begin() and repeat the window.",
        state_ == State::kFailed ? "an error" : "normalize()"));
  }
  state_ = State::kFailed; // until this micro-batch is in
  double weight = loss.weight.value;
  double sum = loss.sum.numel() == 1 ? loss.sum.item<double>() : 0;
  check(loss, sum);
  check_parameters();
  // Built-in models fold while the loss is computed.
  check_gradients(tensor::num_folds - folds_);
  ++micro_batches_;
  const bool skips = options_.on_nonfinite == OnNonFinite::kSkip;
  bool good = weight == 0 || std::isfinite(sum);
  if (weight > 0 && good) {
    loss.sum.backward();
  }
  const std::vector<bool> folded = fold();
  if (weight > 0 && good && skips) {
    good = finite();
  }
  if (!good && !skips) {
    throw NonFiniteError(fmt::format(
        "[window] the loss of micro-batch {} is {}. Lower the learning rate, "
        "look at its samples, or choose to skip such micro-batches.",
        micro_batches_,
        sum));
  }
  if (good && weight > 0) {
    loss_sum_ += sum;
    weight_ += weight;
    std::transform(
        folded.begin(),
        folded.end(),
        added_.begin(),
        added_.begin(),
        std::logical_or<>());
  }
  skipped_ += good ? 0 : 1;
  if (skips) {
    good ? remember() : restore();
  }
  mark();
  state_ = State::kOpen;
  return good;
}

void Window::check(const LossSum& loss, double sum) const {
  double weight = loss.weight.value;
  if (loss.sum.numel() != 1) {
    throw Error(fmt::format(
        "[window] a loss sum must have one element, got {}. Sum it over "
        "the micro-batch.",
        loss.sum.numel()));
  }
  if (!(weight >= 0) || std::isinf(weight)) {
    throw Error(fmt::format(
        "[window] weight must be a finite number >= 0, got {}.", weight));
  }
  if (weight == 0 && std::isfinite(sum) && sum != 0) {
    throw Error(fmt::format(
        "[window] a micro-batch of weight 0 has the loss sum {}. Give the "
        "sum of weight x loss with the sum of the same weights.",
        sum));
  }
  if (weight > 0 && !loss.sum.requires_grad()) {
    throw Error(
        "[window] the loss sum has no graph to the parameters. Compute it "
        "with gradients enabled and don't detach it.");
  }
}

/// Takes in what backward and the loss have added, and says where.
std::vector<bool> Window::fold() {
  at::NoGradGuard no_grad;
  std::vector<bool> folded;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    at::Tensor& sums = accumulators_[i];
    if (direct(i)) {
      folded.push_back(
          !grad.is_same(sums) || tensor::version_of(sums) != versions_[i]);
      sums = grad;
      continue;
    }
    // Autograd did not accumulate it in place.
    folded.push_back(grad.defined());
    if (grad.defined() && sums.defined()) {
      sums.add_(grad);
    } else if (grad.defined()) {
      sums = grad.to(at::kFloat);
    }
    grad.reset();
  }
  return folded;
}

bool Window::finite() const {
  return std::isfinite(global_norm(accumulators_));
}

void Window::remember() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!added_[i]) {
      continue;
    }
    if (last_good_[i].defined()) {
      last_good_[i].copy_(accumulators_[i]);
    } else {
      last_good_[i] = accumulators_[i].clone();
    }
  }
}

/// Also undoes what a loss has folded while it was computed.
void Window::restore() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (added_[i]) {
      accumulators_[i].copy_(last_good_[i]);
    } else if (accumulators_[i].defined()) {
      accumulators_[i].zero_();
    }
  }
}

std::vector<at::Tensor> Window::gradients() const {
  std::vector<at::Tensor> gradients;
  const std::vector<size_t> owners = this->owners();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners[i] == i) {
      gradients.push_back(added_[i] ? accumulators_[i] : at::Tensor());
    }
  }
  return gradients;
}

void Window::merge_aliases() {
  at::NoGradGuard no_grad;
  const std::vector<size_t> owners = this->owners();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners[i] == i || !added_[i]) {
      continue;
    }
    at::Tensor& whole = accumulators_[owners[i]];
    if (whole.defined()) {
      whole.add_(accumulators_[i]);
    } else {
      std::swap(whole, accumulators_[i]);
    }
    added_[owners[i]] = true;
    added_[i] = false;
  }
}

/// Leaves `.grad` to those that have a gradient: LibTorch's optimizers would
/// take zeros for one.
void Window::hide_others() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (direct(i)) {
      parameters_[i].mutable_grad() =
          added_[i] ? accumulators_[i] : at::Tensor();
    }
  }
}

StepReport Window::normalize(const CommitOptions& options) {
  if (state_ != State::kOpen || micro_batches_ == 0) {
    throw Error(fmt::format(
        "[window] commit {}. {}",
        state_ == State::kFailed           ? "after an error"
            : state_ == State::kNormalized ? "after normalize()"
                                           : "without add()",
        state_ == State::kOpen ? "Add at least one micro-batch."
                               : "Call begin() and repeat the window."));
  }
  check_parameters();
  check_gradients(/*folds=*/0);
  StepReport report{
      .loss = loss_sum_ / weight_,
      .weight = weight_,
      .micro_batches = micro_batches_,
      .skipped = skipped_};
  if (weight_ == 0 && skipped_ == 0) {
    state_ = State::kFailed;
    throw Error(fmt::format(
        "[window] total weight must be > 0, got 0 ({} micro-batches). "
        "Check that the batch has target tokens with a weight.",
        micro_batches_));
  }
  state_ = State::kNormalized;
  merge_aliases();
  hide_others();
  if (weight_ == 0) {
    return report; // everything was skipped
  }
  // |G / W| = |G| / W, so that one pass divides and clips.
  report.grad_norm = global_norm(gradients()) / weight_;
  if (!std::isfinite(report.grad_norm)) {
    state_ = State::kFailed;
    throw NonFiniteError(fmt::format(
        "[window] the summed gradients are not finite ({}). Lower the "
        "learning rate or choose to skip such micro-batches.",
        first_nonfinite(gradients())));
  }
  double clip = 1;
  if (options.clip_norm > 0) {
    clip = std::min(1.0, options.clip_norm / (report.grad_norm + kClipEpsilon));
  }
  scale(weight_ / clip);
  return report;
}

void Window::scale(double divisor) {
  at::NoGradGuard no_grad;
  for (at::Tensor& gradient : gradients()) {
    if (gradient.defined()) {
      gradient.div_(divisor);
    }
  }
}

StepReport Window::commit(Optimizer& optimizer, const CommitOptions& options) {
  StepReport report = normalize(options);
  if (report.weight > 0) {
    optimizer.step(gradients_for(optimizer.parameters()));
  }
  begin();
  return report;
}

StepReport Window::commit(
    torch::optim::Optimizer& optimizer,
    const CommitOptions& options) {
  StepReport report = normalize(options);
  if (report.weight > 0) {
    std::vector<at::Tensor> stepped;
    for (const auto& group : optimizer.param_groups()) {
      stepped.insert(
          stepped.end(), group.params().begin(), group.params().end());
    }
    gradients_for(stepped); // its checks
    expose_gradients();
    optimizer.step();
  }
  begin();
  return report;
}

/// Puts the gradients where LibTorch's optimizers look for them.
void Window::expose_gradients() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!direct(i) && added_[i]) {
      parameters_[i].mutable_grad() =
          accumulators_[i].to(parameters_[i].scalar_type());
    }
  }
}

} // namespace accrue
