// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <numeric>
#include <vector>

#include "tensor/cpu/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"

namespace accrue::tensor {
namespace {

/// Whether elements of these stand at the same places of memory, all fp32 or
/// all fp64.
bool is_plain(std::initializer_list<at::Tensor> tensors) {
  const at::Tensor& first = *tensors.begin();
  return std::all_of(
      tensors.begin(), tensors.end(), [&](const at::Tensor& tensor) {
        return tensor.is_cpu() && tensor.layout() == at::kStrided &&
            (tensor.scalar_type() == at::kFloat ||
             tensor.scalar_type() == at::kDouble) &&
            tensor.scalar_type() == first.scalar_type() &&
            tensor.is_non_overlapping_and_dense() &&
            tensor.strides() == first.strides();
      });
}

double l2_norm(const at::Tensor& x) {
  constexpr int64_t kPart = int64_t{1} << 16;
  auto dtype = x.scalar_type();
  if (!x.is_contiguous() || (dtype != at::kFloat && dtype != at::kDouble)) {
    return at::linalg_vector_norm(
               x, 2, /*dim=*/{}, /*keepdim=*/false, at::kDouble)
        .item<double>();
  }
  std::vector<double> parts(
      static_cast<size_t>((x.numel() + kPart - 1) / kPart));
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto count = static_cast<int64_t>(parts.size());
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parts[static_cast<size_t>(i)] = kernels().sum_squares(
          type_of(x),
          std::min(kPart, x.numel() - i * kPart),
          from + static_cast<size_t>(i * kPart) * x.element_size());
    }
  });
  return std::sqrt(std::accumulate(parts.begin(), parts.end(), 0.0));
}

} // namespace

std::vector<double> CpuBackend::l2_norms(
    const std::vector<at::Tensor>& tensors) const {
  std::vector<double> norms;
  for (const at::Tensor& tensor : tensors) {
    norms.push_back(l2_norm(tensor));
  }
  return norms;
}

void CpuBackend::adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average) const {
  constexpr int64_t kGrain = 1 << 14;
  const at::Tensor plain = is_plain({gradient, parameter})
      ? gradient
      : at::empty_like(parameter).copy_(gradient);
  const auto* g = static_cast<const char*>(plain.const_data_ptr());
  auto* p = static_cast<char*>(parameter.mutable_data_ptr());
  auto* m = static_cast<char*>(average.mutable_data_ptr());
  auto* v = static_cast<char*>(square_average.mutable_data_ptr());
  parallel_for(parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
    auto offset = static_cast<size_t>(begin) * parameter.element_size();
    kernels().adamw(
        step,
        {.type = type_of(parameter),
         .count = end - begin,
         .gradient = g + offset,
         .parameter = p + offset,
         .average = m + offset,
         .square_average = v + offset});
  });
}

} // namespace accrue::tensor
