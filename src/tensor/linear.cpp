#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <memory>
#include <utility>

#include "tensor/ops.h"
#include "tensor/raw.h"
#include "tensor/version.h"

namespace accrue::tensor {

struct PackedWeight {
  at::Tensor bytes;
  at::Tensor weight; // on the memory that was packed
  uint32_t version = 0; // of the weight
};

namespace {

/// W as [in, out].
Matrix in_out(const Linear& linear) {
  Matrix m = matrix(linear.weight);
  return linear.layout == WeightLayout::kInOut ? m : m.transposed();
}

/// W as y = x · W reads it. A copy is packed once per window where it is
/// smaller than the weight: bf16 on a CPU that multiplies it. The other
/// orientation and fp32 are packed as they are used: copies of them would win
/// little (docs/bits.md).
const void* packed(const Linear& linear, const Gemm& gemm) {
  if (gemm.compute != Type::kBf16 || linear.packed == nullptr) {
    return nullptr;
  }
  const Kernels& k = kernels();
  const size_t bytes = k.packed_bytes(gemm.k, gemm.n, gemm.compute);
  if (bytes >= linear.weight.nbytes()) {
    return nullptr;
  }
  PackedWeight& copy = *linear.packed;
  if (!copy.bytes.defined() ||
      !unchanged(linear.weight, copy.weight, copy.version)) {
    if (!copy.bytes.defined()) {
      copy.bytes = at::empty({static_cast<int64_t>(bytes)}, at::kByte);
    }
    k.pack(gemm.k, gemm.n, gemm.compute, gemm.b, copy.bytes.mutable_data_ptr());
    copy.weight = linear.weight.detach();
    copy.version = version_of(linear.weight);
  }
  return copy.bytes.const_data_ptr();
}

Gemm rows_times(
    const at::Tensor& x,
    Type compute,
    const at::Tensor& y,
    bool add) {
  Gemm gemm;
  gemm.m = x.size(0);
  gemm.k = x.size(1);
  gemm.n = y.size(1);
  gemm.a = matrix(x);
  gemm.c = y.mutable_data_ptr();
  gemm.c_type = type_of(y);
  gemm.c_stride = y.stride(0);
  gemm.compute = compute;
  gemm.add = add;
  return gemm;
}

/// y += x · b; y of the sum type.
void add_product(
    const at::Tensor& x,
    const Matrix& b,
    Type compute,
    const at::Tensor& y) {
  Gemm gemm = rows_times(x, compute, y, /*add=*/true);
  gemm.b = b;
  kernels().gemm(gemm);
}

/// scale · x · b [R, rank].
at::Tensor narrowed(
    const at::Tensor& x,
    const Matrix& b,
    const Adapter& adapter,
    Type compute) {
  at::Tensor u =
      empty(sum_type(compute), {x.size(0), adapter.a.size(0)}).zero_();
  add_product(x, b, compute, u);
  return u.mul_(adapter.scale);
}

/// gradient += xᵀ·y, segment by segment; nothing for an undefined one.
void fold_product(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& y,
    Type compute,
    const at::Tensor& gradient) {
  if (!gradient.defined()) {
    return;
  }
  Gemm gemm;
  gemm.m = gradient.size(0);
  gemm.n = gradient.size(1);
  gemm.k = chunk.size();
  gemm.a = matrix(x).transposed();
  gemm.b = matrix(y);
  gemm.c = gradient.mutable_data_ptr();
  gemm.c_type = type_of(gradient);
  gemm.c_stride = gradient.stride(0);
  gemm.compute = compute;
  gemm.add = true;
  gemm.segments = chunk.segments;
  kernels().gemm(gemm);
}

void base_linear(
    const at::Tensor& x,
    const Linear& linear,
    Type compute,
    const at::Tensor& y,
    bool add) {
  Gemm gemm = rows_times(x, compute, y, add);
  gemm.b = in_out(linear);
  gemm.packed_b = packed(linear, gemm);
  gemm.bias =
      linear.bias.defined() && !add ? linear.bias.const_data_ptr() : nullptr;
  kernels().gemm(gemm);
}

} // namespace

Linear make_linear(at::Tensor weight, at::Tensor bias, WeightLayout layout) {
  return {
      std::move(weight),
      std::move(bias),
      layout,
      std::make_shared<PackedWeight>()};
}

void linear(
    const at::Tensor& x,
    const Linear& linear,
    Type compute,
    const at::Tensor& y,
    bool add) {
  if (linear.adapter == nullptr) {
    base_linear(x, linear, compute, y, add);
    return;
  }
  const Adapter& adapter = *linear.adapter;
  // What is added up is rounded once, at the end.
  const bool rounds = type_of(y) != sum_type(compute);
  at::Tensor sum = rounds ? empty(sum_type(compute), y.sizes()) : y;
  base_linear(x, linear, compute, sum, add);
  at::Tensor u = narrowed(x, matrix(adapter.a).transposed(), adapter, compute);
  add_product(u, matrix(adapter.b).transposed(), compute, sum);
  if (rounds) {
    y.copy_(sum);
  }
}

void linear_input_gradient(
    const at::Tensor& dy,
    const Linear& linear,
    Type compute,
    const at::Tensor& dx,
    bool add) {
  Gemm gemm = rows_times(dy, compute, dx, add);
  gemm.b = in_out(linear).transposed();
  kernels().gemm(gemm);
  if (const Adapter* adapter = linear.adapter.get()) {
    at::Tensor du = narrowed(dy, matrix(adapter->b), *adapter, compute);
    add_product(du, matrix(adapter->a), compute, dx);
  }
}

void linear_weight_gradient(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& linear,
    Type compute,
    const LinearGradients& gradients) {
  const bool in_first = linear.layout == WeightLayout::kInOut;
  fold_product(
      chunk, in_first ? x : dy, in_first ? dy : x, compute, gradients.weight);
  if (const Adapter* adapter = linear.adapter.get()) {
    at::Tensor u =
        narrowed(x, matrix(adapter->a).transposed(), *adapter, compute);
    fold_product(chunk, dy, u, compute, gradients.adapter_b);
    at::Tensor du = narrowed(dy, matrix(adapter->b), *adapter, compute);
    fold_product(chunk, du, x, compute, gradients.adapter_a);
  }
  if (const TrainedRows* rows = linear.rows.get()) {
    fold_product(
        chunk, dy.index_select(1, rows->ids), x, compute, gradients.rows);
  }
  if (const at::Tensor& sum = gradients.bias; sum.defined()) {
    fold_pieces(chunk, {sum}, [&](int64_t begin, int64_t rows, void* sums) {
      kernels().sum_rows(
          type_of(dy), rows, dy.size(1), row_of(dy, begin), dy.stride(0), sums);
    });
  }
}

} // namespace accrue::tensor
