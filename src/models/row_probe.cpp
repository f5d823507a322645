// SPDX-License-Identifier: Apache-2.0
#include "models/row_probe.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/linspace.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace accrue {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 28; // of a result

/// Returns rows [rows, width] of numbers that differ, in the type of operands.
at::Tensor numbers(
    int64_t rows,
    int64_t width,
    tensor::Type type,
    const at::Tensor& sibling) {
  at::Tensor x = tensor::empty(tensor::Type::kF32, {rows, width}, sibling);
  at::Tensor line =
      at::linspace(-1, 1, x.numel(), x.options()).sin_().view_as(x);
  return line.to(tensor::scalar_type(type));
}

/// Compares product(x) [rows, …] with the products of parts of x.
template <class Product>
bool is_independent(const at::Tensor& x, const Product& product) {
  const at::Tensor whole = product(x);
  const int64_t rows = x.size(0);
  for (const auto& [begin, end] :
       {std::pair(int64_t{0}, rows / 8),
        std::pair(rows / 8, rows / 2),
        std::pair(rows / 5 + 1, rows / 2 + 3)}) {
    const at::Tensor part = product(x.narrow(0, begin, end - begin));
    if (!at::equal(whole.narrow(0, begin, end - begin), part)) {
      return false;
    }
  }
  return true;
}

bool is_independent(
    const tensor::Linear& layer,
    tensor::Type compute,
    int64_t most_rows) {
  const int64_t in = tensor::in_width(layer);
  const int64_t out = tensor::out_width(layer);
  const int64_t rows = std::min(kMostElements / std::max(in, out), most_rows);
  const tensor::Type operand = tensor::operand_type(layer.weight, compute);
  for (tensor::Type type : {operand, tensor::sum_type(compute)}) {
    auto forward = [&](const at::Tensor& x) {
      at::Tensor y = tensor::empty(type, {x.size(0), out}, x);
      tensor::linear(x, layer, compute, y);
      return y;
    };
    auto backward = [&](const at::Tensor& dy) {
      at::Tensor dx = tensor::empty(type, {dy.size(0), in}, dy);
      tensor::linear_input_gradient(dy, layer, compute, dx);
      return dx;
    };
    if (!is_independent(numbers(rows, in, operand, layer.weight), forward) ||
        !is_independent(numbers(rows, out, operand, layer.weight), backward)) {
      return false;
    }
  }
  return true;
}

} // namespace

const tensor::Cut& cut_of(const ModelWeights& weights) {
  if (!weights.cut) {
    tensor::Cut cut = tensor::cut_of(weights.token_embedding, weights.compute);
    if (!cut.by_sample && cut.chunk_tokens > 0 &&
        !rows_are_independent(weights, cut.chunk_tokens)) {
      cut.chunk_tokens = 0;
      cut.head_chunk_tokens = 0;
    }
    weights.cut = cut;
  }
  return *weights.cut;
}

bool rows_are_independent(const ModelWeights& weights, int64_t most_rows) {
  std::vector<const tensor::Linear*> layers{&weights.head};
  if (!weights.blocks.empty()) {
    for (const tensor::Linear* layer : weights.blocks.front().linears()) {
      layers.push_back(layer);
    }
  }
  std::set<std::tuple<int64_t, int64_t, tensor::WeightLayout>> tried;
  return std::ranges::all_of(layers, [&](const tensor::Linear* layer) {
    const bool is_new = tried
                            .insert(
                                {tensor::in_width(*layer),
                                 tensor::out_width(*layer),
                                 layer->layout})
                            .second;
    return !is_new || is_independent(*layer, weights.compute, most_rows);
  });
}

} // namespace accrue
