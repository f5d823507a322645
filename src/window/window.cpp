// SPDX-License-Identifier: Apache-2.0
#include "accrue/window/window.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "accrue/core/error.h"
#include "tensor/ops.h"

namespace accrue {
namespace {

/// Added to the norm when the clip factor is computed, as
/// torch.nn.utils.clip_grad_norm_ does.
constexpr double kClipEpsilon = 1e-6;

/// Returns the norm of each tensor, 0 where it is undefined.
std::vector<double> norms_of(const std::vector<at::Tensor>& tensors) {
  // By device, because each copy from a device waits for all of its work.
  std::map<std::pair<at::DeviceType, int>, std::vector<size_t>> places;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].defined()) {
      const at::Device device = tensors[i].device();
      places[{device.type(), device.index()}].push_back(i);
    }
  }
  std::vector<double> norms(tensors.size(), 0.0);
  for (const auto& [device, indices] : places) {
    std::vector<at::Tensor> here;
    for (size_t i : indices) {
      here.push_back(tensors[i]);
    }
    const std::vector<double> values = tensor::l2_norms(here);
    for (size_t i = 0; i < indices.size(); ++i) {
      norms[indices[i]] = values[i];
    }
  }
  return norms;
}

double global_norm(const std::vector<double>& norms) {
  double squares = 0;
  for (double norm : norms) {
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

std::string first_nonfinite(const std::vector<double>& norms) {
  for (size_t i = 0; i < norms.size(); ++i) {
    if (!std::isfinite(norms[i])) {
      return fmt::format("parameter {}", i);
    }
  }
  return "their global norm";
}

} // namespace

Window::Window(std::vector<at::Tensor> parameters, WindowOptions options)
    : sums_(std::move(parameters)), options_(options) {}

void Window::begin() {
  sums_.begin();
  losses_.clear();
  last_good_.sums.clear();
  state_ = State::kOpen;
}

void Window::check_open(const char* what) const {
  if (state_ != State::kOpen) {
    throw Error(fmt::format(
        "[window] {} after {}. Call begin() and repeat the window.",
        what,
        state_ == State::kFailed ? "an error" : "normalize()"));
  }
}

bool Window::add(const LossSum& loss) {
  check_open("add()");
  const double weight = loss.weight.value;
  begin_add(weight);
  if (loss.sum.numel() != 1) {
    throw Error(fmt::format(
        "[window] a loss sum must have one element, got {}. Sum it over "
        "the micro-batch.",
        loss.sum.numel()));
  }
  if (weight > 0 && !loss.sum.requires_grad()) {
    throw Error(
        "[window] the loss sum has no graph to the parameters. Compute it "
        "with gradients enabled and don't detach it.");
  }
  if (weight > 0) {
    loss.sum.backward();
  }
  sums_.collect_gradients();
  return end_add(loss.sum, weight);
}

bool Window::add(const ModelLoss& loss) {
  check_open("add()");
  const double weight = loss.weight.value;
  begin_add(weight);
  return end_add(
      weight > 0 ? loss.accumulate(sums_)
                 : at::scalar_tensor(0, at::TensorOptions().dtype(at::kDouble)),
      weight);
}

void Window::begin_add(double weight) {
  state_ = State::kFailed; // until this micro-batch is in
  if (!(weight >= 0) || std::isinf(weight)) {
    throw Error(fmt::format(
        "[window] weight must be a finite number >= 0, got {}.", weight));
  }
  sums_.check(/*first=*/losses_.empty());
}

bool Window::end_add(const at::Tensor& sum, double weight) {
  bool good = true;
  if (options_.on_nonfinite == OnNonFinite::kSkip) {
    good = weight == 0 ||
        (std::isfinite(sum.item<double>()) &&
         std::isfinite(global_norm(norms_of(sums_.all()))));
    if (good) {
      sums_.save(last_good_);
    } else {
      sums_.restore(last_good_);
    }
  }
  at::Tensor value =
      sum.detach().to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  losses_.push_back({value.reshape({1}), weight, !good});
  sums_.mark();
  state_ = State::kOpen;
  return good;
}

std::vector<double> Window::read_losses() const {
  std::vector<at::Tensor> sums;
  for (const Loss& loss : losses_) {
    sums.push_back(loss.sum.to(losses_.front().sum.device()));
  }
  const at::Tensor all = at::cat(sums).cpu(); // the one copy from the device
  const auto values = all.accessor<double, 1>();
  std::vector<double> losses;
  for (int64_t i = 0; i < all.size(0); ++i) {
    losses.push_back(values[i]);
  }
  return losses;
}

/// Σ loss over the micro-batches that take part, in their order.
double Window::total_loss() const {
  double total = 0;
  const std::vector<double> values = read_losses();
  for (size_t i = 0; i < values.size(); ++i) {
    const Loss& loss = losses_[i];
    if (loss.weight == 0 && std::isfinite(values[i]) && values[i] != 0) {
      throw Error(fmt::format(
          "[window] micro-batch {} of weight 0 has the loss sum {}. Give the "
          "sum of weight x loss with the sum of the same weights.",
          i + 1,
          values[i]));
    }
    if (loss.weight == 0 || loss.skipped) {
      continue;
    }
    if (!std::isfinite(values[i])) {
      throw NonFiniteError(
          fmt::format(
              "[window] the loss of micro-batch {} is {}. Lower the learning "
              "rate, look at its samples, or choose to skip such "
              "micro-batches.",
              i + 1,
              values[i]),
          static_cast<int64_t>(i));
    }
    total += values[i];
  }
  return total;
}

StepReport Window::normalize(const CommitOptions& options) {
  if (state_ != State::kOpen || losses_.empty()) {
    throw Error(fmt::format(
        "[window] commit {}. {}",
        state_ == State::kOpen         ? "without add()"
            : state_ == State::kFailed ? "after an error"
                                       : "after normalize()",
        state_ == State::kOpen ? "Add at least one micro-batch."
                               : "Call begin() and repeat the window."));
  }
  state_ = State::kFailed; // until all is checked
  sums_.check(/*first=*/false);
  StepReport report{.micro_batches = static_cast<int64_t>(losses_.size())};
  for (const Loss& loss : losses_) {
    report.weight += loss.skipped ? 0 : loss.weight;
    report.skipped += loss.skipped ? 1 : 0;
  }
  report.loss = total_loss() / report.weight;
  if (report.weight == 0 && report.skipped == 0) {
    throw Error(fmt::format(
        "[window] total weight must be > 0, got 0 ({} micro-batches). "
        "Check that the batch has target tokens with a weight.",
        report.micro_batches));
  }
  sums_.merge();
  if (report.weight == 0) {
    state_ = State::kAllSkipped;
    return report;
  }
  // |G / W| = |G| / W, so that one pass divides and clips.
  const std::vector<double> norms = norms_of(gradients());
  report.grad_norm = global_norm(norms) / report.weight;
  if (!std::isfinite(report.grad_norm)) {
    throw NonFiniteError(fmt::format(
        "[window] the summed gradients are not finite ({}). Lower the "
        "learning rate or choose to skip such micro-batches.",
        first_nonfinite(norms)));
  }
  double clip = 1;
  if (options.clip_norm > 0) {
    clip = std::min(1.0, options.clip_norm / (report.grad_norm + kClipEpsilon));
  }
  sums_.scale(report.weight / clip);
  state_ = State::kNormalized;
  return report;
}

void Window::check_normalized() const {
  if (state_ != State::kNormalized && state_ != State::kAllSkipped) {
    throw Error("[window] step() without normalize(). Call it first.");
  }
}

void Window::step(Optimizer& optimizer) {
  check_normalized();
  if (state_ == State::kNormalized) {
    optimizer.step(sums_.gradients_for(optimizer.parameters()));
  }
  begin();
}

void Window::step(torch::optim::Optimizer& optimizer) {
  check_normalized();
  if (state_ == State::kNormalized) {
    std::vector<at::Tensor> stepped;
    for (const auto& group : optimizer.param_groups()) {
      stepped.insert(
          stepped.end(), group.params().begin(), group.params().end());
    }
    (void)sums_.gradients_for(stepped); // its checks
    sums_.expose_gradients();
    optimizer.step();
  }
  begin();
}

uint64_t Window::sum_bytes() const {
  uint64_t bytes = 0;
  for (const at::Tensor& sum : sums_.all()) {
    bytes += sum.nbytes();
  }
  return bytes;
}

Window::Unfinished Window::save() const {
  check_open("save()");
  Unfinished state;
  sums_.save(state.sums);
  if (!losses_.empty()) {
    state.losses = read_losses();
  }
  for (const Loss& loss : losses_) {
    state.weights.push_back(loss.weight);
    state.skipped.push_back(loss.skipped);
  }
  return state;
}

void Window::restore(const Unfinished& state) {
  begin();
  state_ = State::kFailed; // until everything is in
  sums_.check(/*first=*/true);
  sums_.restore(state.sums);
  for (size_t i = 0; i < state.losses.size(); ++i) {
    losses_.push_back(
        {at::scalar_tensor(
             state.losses[i], at::TensorOptions().dtype(at::kDouble))
             .reshape({1}),
         state.weights[i],
         state.skipped[i]});
  }
  if (options_.on_nonfinite == OnNonFinite::kSkip) {
    sums_.save(last_good_);
  }
  state_ = State::kOpen;
}

} // namespace accrue
