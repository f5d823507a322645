#include "accrue/window/window.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "accrue/core/error.h"
#include "tensor/ops.h"

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
  std::erase_if(
      parameters_, [](const at::Tensor& p) { return !p.requires_grad(); });
  if (parameters_.empty()) {
    throw Error(
        "[window] no parameter requires a gradient. Nothing can be trained; "
        "call requires_grad_() on what should be.");
  }
  std::set<const void*> seen;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!seen.insert(parameters_[i].unsafeGetTensorImpl()).second) {
      throw Error(fmt::format(
          "[window] parameter {} is in the list twice. Give a tied parameter "
          "once.",
          i));
    }
  }
  std::map<const void*, size_t> first;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const void* memory =
        parameters_[i].numel() > 0 ? parameters_[i].const_data_ptr() : nullptr;
    owners_.push_back(
        memory != nullptr ? first.emplace(memory, i).first->second : i);
  }
  accumulators_.resize(parameters_.size());
  last_good_.resize(parameters_.size());
  begin();
}

void Window::begin() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    if (!direct(i)) {
      grad.reset();
    }
    for (at::Tensor* sums : {&accumulator(i), &last_good_[i]}) {
      if (sums->defined()) {
        sums->zero_();
      }
    }
  }
  state_ = State::kOpen;
  loss_sum_ = weight_ = 0;
  micro_batches_ = skipped_ = 0;
}

bool Window::direct(size_t i) const {
  auto dtype = parameters_[i].scalar_type();
  return dtype == at::kFloat || dtype == at::kDouble;
}

at::Tensor& Window::accumulator(size_t i) {
  return direct(i) ? parameters_[i].mutable_grad() : accumulators_[i];
}

std::vector<at::Tensor> Window::parameters() const {
  std::vector<at::Tensor> parameters;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners_[i] == i) {
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
  ++micro_batches_;
  const bool skips = options_.on_nonfinite == OnNonFinite::kSkip;
  bool good = weight == 0 || std::isfinite(sum);
  if (weight > 0 && good) {
    loss.sum.backward();
    fold();
    good = !skips || finite();
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
  }
  skipped_ += good ? 0 : 1;
  if (skips) {
    good ? remember() : restore();
  }
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

/// Moves gradients that autograd did not accumulate in place.
void Window::fold() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& grad = parameters_[i].mutable_grad();
    if (direct(i) || !grad.defined()) {
      continue;
    }
    at::Tensor& accumulator = accumulators_[i];
    if (accumulator.defined()) {
      accumulator.add_(grad);
    } else {
      bool wide = grad.scalar_type() == at::kDouble;
      accumulator = grad.to(wide ? at::kDouble : at::kFloat);
    }
    grad.reset();
  }
}

bool Window::finite() {
  std::vector<at::Tensor> sums;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    sums.push_back(accumulator(i));
  }
  return std::isfinite(global_norm(sums));
}

void Window::remember() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!accumulator(i).defined()) {
      continue;
    }
    if (last_good_[i].defined()) {
      last_good_[i].copy_(accumulator(i));
    } else {
      last_good_[i] = accumulator(i).clone();
    }
  }
}

/// Also undoes what a loss has folded while it was computed.
void Window::restore() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!accumulator(i).defined()) {
      continue;
    }
    if (last_good_[i].defined()) {
      accumulator(i).copy_(last_good_[i]);
    } else {
      accumulator(i).zero_();
    }
  }
}

std::vector<at::Tensor> Window::gradients() const {
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners_[i] == i) {
      gradients.push_back(direct(i) ? parameters_[i].grad() : accumulators_[i]);
    }
  }
  return gradients;
}

void Window::merge_aliases() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& part = accumulator(i);
    if (owners_[i] == i || !part.defined()) {
      continue;
    }
    at::Tensor& whole = accumulator(owners_[i]);
    if (whole.defined()) {
      whole.add_(part);
      part.zero_();
    } else {
      std::swap(whole, part);
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
    optimizer.step(gradients());
  }
  begin();
  return report;
}

StepReport Window::commit(
    torch::optim::Optimizer& optimizer,
    const CommitOptions& options) {
  StepReport report = normalize(options);
  if (report.weight > 0) {
    expose_gradients();
    optimizer.step();
  }
  begin();
  return report;
}

/// Puts the gradients where LibTorch's optimizers look for them.
void Window::expose_gradients() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!direct(i) && accumulators_[i].defined()) {
      parameters_[i].mutable_grad() =
          accumulators_[i].to(parameters_[i].scalar_type());
    }
  }
}

} // namespace accrue
