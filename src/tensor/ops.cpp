// SPDX-License-Identifier: Apache-2.0
#include "tensor/ops.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "tensor/backend.h"

namespace accrue::tensor {

Type type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return Type::kF32;
    case at::kDouble:
      return Type::kF64;
    case at::kBFloat16:
      return Type::kBf16;
    default:
      throw Error(fmt::format(
          "[tensor] elements of type {} are not supported (fp32, fp64, bf16 "
          "are)",
          at::toString(tensor.scalar_type())));
  }
}

at::ScalarType scalar_type(Type type) {
  return type == Type::kF64 ? at::kDouble
      : type == Type::kF32  ? at::kFloat
                            : at::kBFloat16;
}

Type operand_type(const at::Tensor& sibling, Type compute) {
  return backend_of(sibling).operand_type(compute);
}

Cut cut_of(const at::Tensor& sibling, Type compute) {
  return backend_of(sibling).cut(compute);
}

at::Tensor empty(Type type, at::IntArrayRef shape, const at::Tensor& sibling) {
  return at::empty(
      shape,
      at::TensorOptions().dtype(scalar_type(type)).device(sibling.device()));
}

at::Tensor columns(const at::Tensor& x, int64_t begin, int64_t count) {
  return x.narrow(1, begin, count);
}

at::Tensor value_columns(const at::Tensor& x, bool gated) {
  int64_t width = gated ? x.size(1) / 2 : x.size(1);
  return columns(x, x.size(1) - width, width);
}

NormStatistics make_statistics(const Norm& layer, const at::Tensor& x) {
  NormStatistics statistics;
  statistics.rstd = empty(type_of(x), {x.size(0)}, x);
  if (is_layer_norm(layer)) {
    statistics.mean = empty(type_of(x), {x.size(0)}, x);
  }
  return statistics;
}

Linear make_linear(at::Tensor weight, at::Tensor bias, WeightLayout layout) {
  auto packed = backend_of(weight).make_packed_weight();
  return {std::move(weight), std::move(bias), layout, std::move(packed)};
}

uint64_t Dropout::step_key() const {
  return mix(key_.seed, key_.step);
}

uint64_t Dropout::mask_key(size_t sample, uint64_t site) const {
  return mix(step_key(), mix(sample_ids_[sample], site));
}

uint64_t Dropout::threshold() const {
  return static_cast<uint64_t>(std::ldexp(key_.probability, 32));
}

void Dropout::apply(
    const Chunk& chunk,
    uint64_t site,
    const at::Tensor& x,
    const at::Tensor& base,
    const at::Tensor& y) const {
  backend_of(x).apply_dropout(*this, chunk, site, x, base, y);
}

// The operations of the backend of a tensor's device.

void linear(
    const at::Tensor& x,
    const Linear& layer,
    Type compute,
    const at::Tensor& y,
    bool add) {
  backend_of(x).linear(x, layer, compute, y, add);
}

void linear_input_gradient(
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const at::Tensor& dx,
    bool add) {
  backend_of(dy).linear_input_gradient(dy, layer, compute, dx, add);
}

void linear_weight_gradient(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Linear& layer,
    Type compute,
    const LinearGradients& gradients) {
  backend_of(x).linear_weight_gradient(chunk, x, dy, layer, compute, gradients);
}

at::Tensor norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& layer,
    const NormStatistics& statistics,
    Type result) {
  return backend_of(x).norm(chunk, x, layer, statistics, result);
}

void norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& layer,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients) {
  backend_of(x).norm_backward(chunk, x, dy, layer, statistics, dx, gradients);
}

at::Tensor activate(const at::Tensor& x, Activation activation, bool gated) {
  return backend_of(x).activate(x, activation, gated);
}

at::Tensor activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated) {
  return backend_of(x).activate_backward(x, dx, activation, gated);
}

RotaryTable rotary_table(
    int64_t positions,
    const at::Tensor& frequencies,
    at::ScalarType dtype) {
  return backend_of(frequencies).rotary_table(positions, frequencies, dtype);
}

void rotate(
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& positions,
    const RotaryTable& table,
    bool inverse) {
  backend_of(qkv).rotate(qkv, heads, positions, table, inverse);
}

void attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp) {
  backend_of(qkv).attention(offsets, qkv, heads, out, logsumexp);
}

at::Tensor attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout) {
  return backend_of(qkv).attention_backward(
      chunk, offsets, qkv, heads, out, logsumexp, dout);
}

void embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient) {
  backend_of(gradient).embed_backward(ids, dy, gradient);
}

void embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient) {
  backend_of(gradient).embed_rows_backward(ids, dy, trained, gradient);
}

at::Tensor cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients) {
  return backend_of(x).cross_entropy(
      chunk, x, head, compute, targets, weights, dx, gradients);
}

at::Tensor sum_in_order(const at::Tensor& x) {
  return backend_of(x).sum_in_order(x);
}

std::vector<double> l2_norms(const std::vector<at::Tensor>& tensors) {
  return tensors.empty() ? std::vector<double>()
                         : backend_of(tensors.front()).l2_norms(tensors);
}

void adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average) {
  backend_of(parameter).adamw(
      step, gradient, parameter, average, square_average);
}

} // namespace accrue::tensor
