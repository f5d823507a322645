// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <memory>

#include "tensor/cpu/backend.h"
#include "tensor/cpu/fold.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/row_access.h"
#include "tensor/version.h"

namespace accrue::tensor {
namespace {

/// A weight in the order in which a product reads it.
struct CpuPackedWeight final : PackedWeight {
  at::Tensor bytes;
  at::Tensor weight; // alias of the memory that was packed
  uint32_t version = 0; // version of the weight that was packed
};

/// Returns W as [in, out].
Matrix in_out(const Linear& layer) {
  Matrix m = matrix(layer.weight);
  return layer.layout == WeightLayout::kInOut ? m : m.transposed();
}

/// Returns the packed copy of W for y = x · W, or nullptr if there is none. The
/// copy is made once per window where it is smaller than the weight: bf16 on a
/// CPU that multiplies it. The other orientation and fp32 are packed on each
/// use, as copies of them would gain little (docs/bits.md).
const void* packed_weight(const Linear& layer, const Gemm& g) {
  if (g.compute != Type::kBf16 || layer.packed == nullptr) {
    return nullptr;
  }
  const size_t bytes = kernels().packed_bytes(g);
  if (bytes >= layer.weight.nbytes()) {
    return nullptr;
  }
  auto& copy = static_cast<CpuPackedWeight&>(*layer.packed);
  if (!copy.bytes.defined() ||
      !unchanged(layer.weight, copy.weight, copy.version)) {
    if (!copy.bytes.defined()) {
      copy.bytes = at::empty({static_cast<int64_t>(bytes)}, at::kByte);
    }
    kernels().pack(g, copy.bytes.mutable_data_ptr());
    copy.weight = layer.weight.detach();
    copy.version = version_of(layer.weight);
  }
  return copy.bytes.const_data_ptr();
}

/// Returns the product y = x · b or y += x · b, without its b.
Gemm rows_times(
    const at::Tensor& x,
    Type compute,
    const at::Tensor& y,
    bool add) {
  return {
      .m = x.size(0),
      .n = y.size(1),
      .k = x.size(1),
      .a = matrix(x),
      .c = mutable_matrix(y),
      .compute = compute,
      .add = add};
}

/// Adds x · b to y, which has the sum type.
void add_product(
    const at::Tensor& x,
    const Matrix& b,
    Type compute,
    const at::Tensor& y) {
  Gemm g = rows_times(x, compute, y, /*add=*/true);
  g.b = b;
  kernels().gemm(g);
}

/// Returns scale · x · b [R, rank].
at::Tensor project_down(
    const at::Tensor& x,
    const Matrix& b,
    const Adapter& adapter,
    Type compute) {
  at::Tensor u =
      empty(sum_type(compute), {x.size(0), adapter.a.size(0)}).zero_();
  add_product(x, b, compute, u);
  return u.mul_(adapter.scale);
}

/// Adds xᵀ·y to a gradient, if it is defined, segment by segment.
void fold_product(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& y,
    Type compute,
    const at::Tensor& gradient) {
  if (!gradient.defined()) {
    return;
  }
  kernels().gemm(
      {.m = gradient.size(0),
       .n = gradient.size(1),
       .k = chunk.size(),
       .a = matrix(x).transposed(),
       .b = matrix(y),
       .c = mutable_matrix(gradient),
       .compute = compute,
       .add = true,
       .segment_ends = chunk.segments.data()});
}

void base_linear(
    const at::Tensor& x,
    const Linear& layer,
    Type compute,
    const at::Tensor& y,
    bool add) {
  Gemm g = rows_times(x, compute, y, add);
  g.b = in_out(layer);
  g.packed_b = packed_weight(layer, g);
  g.bias = layer.bias.defined() && !add ? layer.bias.const_data_ptr() : nullptr;
  kernels().gemm(g);
}

} // namespace

std::shared_ptr<PackedWeight> CpuBackend::make_packed_weight() const {
  return std::make_shared<CpuPackedWeight>();
}

void CpuBackend::linear(
    const at::Tensor& x,
    const Linear& layer,
    Type compute,
    const at::Tensor& y,
    bool add) const {
  if (layer.adapter == nullptr) {
    base_linear(x, layer, compute, y, add);
    return;
  }
  const Adapter& adapter = *layer.adapter;
  // The sum of both products is rounded once, at the end.
  const bool rounds = type_of(y) != sum_type(compute);
  at::Tensor sum = rounds ? empty(sum_type(compute), y.sizes()) : y;
  base_linear(x, layer, compute, sum, add);
  at::Tensor u =
      project_down(x, matrix(adapter.a).transposed(), adapter, compute);
  add_product(u, matrix(adapter.b).transposed(), compute, sum);
  if (rounds) {
    y.copy_(sum);
  }
}

void CpuBackend::linear_input_gradient(
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const at::Tensor& dx,
    bool add) const {
  Gemm g = rows_times(dy, compute, dx, add);
  g.b = in_out(layer).transposed();
  kernels().gemm(g);
  if (const Adapter* adapter = layer.adapter.get()) {
    at::Tensor du = project_down(dy, matrix(adapter->b), *adapter, compute);
    add_product(du, matrix(adapter->a), compute, dx);
  }
}

void CpuBackend::linear_weight_gradient(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const LinearGradients& gradients) const {
  const bool in_first = layer.layout == WeightLayout::kInOut;
  fold_product(
      chunk, in_first ? x : dy, in_first ? dy : x, compute, gradients.weight);
  if (const Adapter* adapter = layer.adapter.get()) {
    at::Tensor u =
        project_down(x, matrix(adapter->a).transposed(), *adapter, compute);
    fold_product(chunk, dy, u, compute, gradients.adapter_b);
    at::Tensor du = project_down(dy, matrix(adapter->b), *adapter, compute);
    fold_product(chunk, du, x, compute, gradients.adapter_a);
  }
  if (const TrainedRows* rows = layer.rows.get()) {
    fold_product(
        chunk, dy.index_select(1, rows->ids), x, compute, gradients.rows);
  }
  if (const at::Tensor& sum = gradients.bias; sum.defined()) {
    fold_pieces(chunk, {sum}, [&](int64_t begin, int64_t rows, void* sums) {
      kernels().sum_rows(
          {.type = type_of(dy),
           .rows = rows,
           .width = dy.size(1),
           .x = row_of(dy, begin),
           .stride = dy.stride(0),
           .sums = sums});
    });
  }
}

} // namespace accrue::tensor
