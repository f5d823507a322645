// SPDX-License-Identifier: Apache-2.0
#include "run/verify.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "drive/window_runner.h"
#include "models/layer_of.h"
#include "run/window_of_step.h"

namespace accrue {
namespace {

/// Loss, size and gradients of one window.
struct Measured {
  double loss = 0;
  int64_t micro_batch = 0;
  std::vector<at::Tensor> gradients;
};

Measured run_window(
    const Task& task,
    const drive::MicroBatching& batching,
    report::Progress& progress) {
  Window window(task.model().parameters());
  WindowOfStep work(task, /*step=*/0, progress);
  drive::WindowRunner runner(
      window,
      batching,
      task.options().checkpointing == Checkpointing::kAuto,
      task.budget().memory());
  const drive::WindowResult result = runner.run(work);
  Measured measured{
      .loss = result.report.loss, .micro_batch = result.micro_batch};
  for (const at::Tensor& gradient : window.gradients()) {
    measured.gradients.push_back(gradient.clone());
  }
  return measured;
}

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  at::NoGradGuard no_grad;
  at::Tensor wide = want.to(at::kDouble);
  double norm = at::linalg_vector_norm(wide).item<double>();
  double difference =
      at::linalg_vector_norm(got.to(at::kDouble) - wide).item<double>();
  return norm > 0 ? difference / norm : difference;
}

} // namespace

double gradient_gate(Dtype dtype, int64_t num_layers, int64_t layer) {
  if (dtype == Dtype::kFp64) {
    return 1e-10;
  }
  double epsilon = dtype == Dtype::kBf16
      ? 0x1p-7
      : static_cast<double>(std::numeric_limits<float>::epsilon());
  auto depth = static_cast<double>(num_layers + 1 - layer);
  return 4 * std::pow(1.03, depth) * epsilon;
}

bool Verification::passed() const {
  return std::all_of(tensors.begin(), tensors.end(), [](const auto& tensor) {
    return tensor.passed();
  });
}

Verification verify(
    Task& task,
    const drive::MicroBatching& planned,
    const drive::MicroBatching& reference,
    report::Progress& progress) {
  const Measured want = run_window(task, reference, progress);
  const Measured got = run_window(task, task.batching(planned), progress);
  const Transformer& model = task.model();
  const int64_t num_layers = model.config().num_layers;
  Verification result{
      .reference = want.micro_batch >= task.global_batch() ? "unsplit"
          : want.micro_batch == 1                          ? "per sample"
                                                           : "per grain",
      .reference_micro_batch = want.micro_batch,
      .loss = got.loss,
      .reference_loss = want.loss};
  size_t i = 0;
  for (const auto& [name, parameter] : model.named_parameters()) {
    if (!parameter.requires_grad()) {
      continue;
    }
    result.tensors.push_back(
        {.name = name,
         .relative_error = relative_error(got.gradients[i], want.gradients[i]),
         .gate = gradient_gate(
             task.options().dtype, num_layers, layer_of(model.config(), name)),
         .bits_equal = at::equal(got.gradients[i], want.gradients[i])});
    ++i;
  }
  return result;
}

} // namespace accrue
