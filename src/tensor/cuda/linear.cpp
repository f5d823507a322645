// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "tensor/cuda/backend.h"
#include "tensor/cuda/kernel_access.h"
#include "tensor/cuda/pitched.h"
#include "tensor/version.h"

namespace accrue::tensor::cuda {
namespace {

/// A weight rounded to the type of products, once per window.
struct CudaPackedWeight final : PackedWeight {
  at::Tensor copy;
  at::Tensor weight; // alias of the memory that was rounded
  uint32_t version = 0; // version of the weight that was rounded
};

/// Returns x in the type of products; x itself, if it has that type.
at::Tensor operand(const at::Tensor& x, Type compute) {
  return x.detach().to(scalar_type(compute));
}

/// Returns W as [in, out] in the type of products.
at::Tensor in_out(const Linear& layer, Type compute) {
  at::Tensor weight = layer.weight;
  if (weight.scalar_type() != scalar_type(compute)) {
    if (layer.packed == nullptr) {
      weight = operand(weight, compute);
    } else {
      auto& kept = static_cast<CudaPackedWeight&>(*layer.packed);
      if (!kept.copy.defined() ||
          kept.copy.scalar_type() != scalar_type(compute) ||
          !unchanged(weight, kept.weight, kept.version)) {
        if (kept.copy.defined() && kept.copy.sizes() == weight.sizes()) {
          kept.copy.copy_(weight);
        } else {
          kept.copy = operand(weight, compute);
        }
        kept.weight = weight.detach();
        kept.version = version_of(weight);
      }
      weight = kept.copy;
    }
  }
  return layer.layout == WeightLayout::kInOut ? weight : weight.t();
}

} // namespace

std::shared_ptr<PackedWeight> CudaBackend::make_packed_weight() const {
  return std::make_shared<CudaPackedWeight>();
}

void CudaBackend::multiply(
    const at::Tensor& a,
    const at::Tensor& b,
    const at::Tensor& c,
    bool add) const {
  at::Tensor result = c;
  if (a.scalar_type() == c.scalar_type()) {
    add ? at::addmm_out(result, c, a, b) : at::mm_out(result, a, b);
  } else if (add) {
    at::addmm_out(result, c, a, b, c.scalar_type());
  } else {
    at::mm_out(result, a, b, c.scalar_type());
  }
}

/// Returns scale · x · b [R, rank] in the type of products.
at::Tensor CudaBackend::project_down(
    const at::Tensor& x,
    const at::Tensor& b,
    double scale,
    Type compute) const {
  at::Tensor wide = pitched(sum_type(compute), x.size(0), b.size(1), x);
  multiply(x, operand(b, compute), wide, /*add=*/false);
  wide.mul_(scale);
  at::Tensor u = pitched(compute, x.size(0), b.size(1), x);
  return u.copy_(wide);
}

void CudaBackend::linear(
    const at::Tensor& x,
    const Linear& layer,
    Type compute,
    const at::Tensor& y,
    bool add) const {
  const at::NoGradGuard no_grad;
  if (compute == Type::kF64) {
    return PortableBackend::linear(x, layer, compute, y, add);
  }
  const at::Tensor in = operand(x, compute);
  const Adapter* adapter = layer.adapter.get();
  // The sum of both products is rounded once, at the end.
  const bool rounds = adapter != nullptr && type_of(y) != sum_type(compute);
  const at::Tensor sum = rounds ? empty(sum_type(compute), y.sizes(), y) : y;
  if (layer.bias.defined() && !add) {
    sum.copy_(layer.bias.expand_as(sum));
    add = true;
  }
  multiply(in, in_out(layer, compute), sum, add);
  if (adapter != nullptr) {
    const at::Tensor u =
        project_down(in, adapter->a.t(), adapter->scale, compute);
    multiply(u, operand(adapter->b, compute).t(), sum, /*add=*/true);
  }
  if (rounds) {
    y.copy_(sum);
  }
}

void CudaBackend::linear_input_gradient(
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const at::Tensor& dx,
    bool add) const {
  const at::NoGradGuard no_grad;
  if (compute == Type::kF64) {
    return PortableBackend::linear_input_gradient(dy, layer, compute, dx, add);
  }
  const at::Tensor in = operand(dy, compute);
  multiply(in, in_out(layer, compute).t(), dx, add);
  if (const Adapter* adapter = layer.adapter.get()) {
    const at::Tensor du = project_down(in, adapter->b, adapter->scale, compute);
    multiply(du, operand(adapter->a, compute), dx, /*add=*/true);
  }
}

/// Adds xᵀ·y to a gradient, if it is defined, grain by grain.
void CudaBackend::fold_product(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& y,
    const at::Tensor& gradient) const {
  if (!gradient.defined()) {
    return;
  }
  int64_t begin = 0;
  for (int64_t end : chunk.segments) {
    multiply(
        x.narrow(0, begin, end - begin).t(),
        y.narrow(0, begin, end - begin),
        gradient,
        /*add=*/true);
    begin = end;
  }
}

void CudaBackend::linear_weight_gradient(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const LinearGradients& gradients) const {
  const at::NoGradGuard no_grad;
  if (compute == Type::kF64) {
    return PortableBackend::linear_weight_gradient(
        chunk, x, dy, layer, compute, gradients);
  }
  const at::Tensor in = operand(x, compute);
  const at::Tensor out = operand(dy, compute);
  const bool in_first = layer.layout == WeightLayout::kInOut;
  fold_product(
      chunk, in_first ? in : out, in_first ? out : in, gradients.weight);
  if (const Adapter* adapter = layer.adapter.get()) {
    if (gradients.adapter_b.defined()) {
      const at::Tensor u =
          project_down(in, adapter->a.t(), adapter->scale, compute);
      fold_product(chunk, out, u, gradients.adapter_b);
    }
    if (gradients.adapter_a.defined()) {
      const at::Tensor du =
          project_down(out, adapter->b, adapter->scale, compute);
      fold_product(chunk, du, in, gradients.adapter_a);
    }
  }
  if (layer.rows != nullptr && gradients.rows.defined()) {
    const at::Tensor& ids = layer.rows->ids;
    at::Tensor some = pitched(compute, out.size(0), ids.size(0), out);
    some.copy_(out.index_select(1, ids));
    fold_product(chunk, some, in, gradients.rows);
  }
  if (gradients.bias.defined()) {
    fold_rows(chunk, dy, gradients.bias);
  }
}

/// Adds the rows of x to a sum [C], piece by piece.
void CudaBackend::fold_rows(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& sum) const {
  const int64_t width = x.size(1);
  const auto pieces = static_cast<int64_t>(chunk.pieces.size());
  const at::Tensor ends = arrays_.get(chunk.pieces, at::kInt, x.device());
  const at::Tensor partials = empty(Type::kF32, {pieces, width}, x);
  launch(
      *launcher_,
      kernel_for("column_partials", type_of(x)).c_str(),
      by_column(width, pieces),
      from(x),
      Wide{x.stride(0)},
      from(ends),
      /*piece_scale=*/1,
      to(partials),
      static_cast<int>(width));
  launch(
      *launcher_,
      "fold_partials",
      by_column(width, 1),
      from(partials),
      static_cast<int>(pieces),
      to(sum),
      static_cast<int>(width));
}

} // namespace accrue::tensor::cuda
