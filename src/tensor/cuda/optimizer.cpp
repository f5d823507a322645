// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "tensor/cuda/backend.h"
#include "tensor/cuda/kernel_access.h"

namespace accrue::tensor::cuda {

std::vector<double> CudaBackend::l2_norms(
    const std::vector<at::Tensor>& tensors) const {
  const at::NoGradGuard no_grad;
  constexpr int64_t kPart = int64_t{1} << 16;
  std::vector<int64_t> ends; // of each tensor's parts
  for (const at::Tensor& tensor : tensors) {
    const int64_t before = ends.empty() ? 0 : ends.back();
    ends.push_back(before + (tensor.numel() + kPart - 1) / kPart);
  }
  const at::Tensor parts = empty(Type::kF64, {ends.back()}, tensors.front());
  int64_t begin = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor x = tensors[i].detach().contiguous();
    if (const int64_t count = ends[i] - begin; count > 0) {
      launch(
          *launcher_,
          kernel_for("square_parts", type_of(x)).c_str(),
          {static_cast<unsigned>(count), 1, 256},
          from(x),
          Wide{x.numel()},
          to(parts.narrow(0, begin, count)));
    }
    begin = ends[i];
  }
  const at::Tensor host = parts.cpu(); // the one copy from the device
  const auto* values = host.const_data_ptr<double>();
  std::vector<double> norms;
  begin = 0;
  for (int64_t end : ends) {
    norms.push_back(
        std::sqrt(std::accumulate(values + begin, values + end, 0.0)));
    begin = end;
  }
  return norms;
}

void CudaBackend::adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average) const {
  const at::NoGradGuard no_grad;
  const std::array<at::Tensor, 4> tensors = {
      gradient, parameter, average, square_average};
  const bool plain =
      std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& x) {
        return x.scalar_type() == at::kFloat && x.is_contiguous();
      });
  if (!plain) {
    PortableBackend::adamw(step, gradient, parameter, average, square_average);
    return;
  }
  constexpr int64_t kThreads = 256;
  constexpr int64_t kMostBlocks = 4096;
  const int64_t blocks = (parameter.numel() + kThreads - 1) / kThreads;
  auto rounded = [](double x) { return static_cast<float>(x); };
  launch(
      *launcher_,
      "adamw",
      {static_cast<unsigned>(std::min(blocks, kMostBlocks)), 1, kThreads},
      from(gradient),
      to(parameter),
      to(average),
      to(square_average),
      Wide{parameter.numel()},
      rounded(1 - step.lr * step.weight_decay),
      rounded(1 - step.beta1),
      rounded(step.beta2),
      rounded(1 - step.beta2),
      rounded(step.lr / step.correction1),
      rounded(std::sqrt(step.correction2)),
      rounded(step.eps));
}

} // namespace accrue::tensor::cuda
