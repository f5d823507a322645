// SPDX-License-Identifier: Apache-2.0
#include "tensor/ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "core/functions.h"
#include "tensor/raw.h"

namespace accrue::tensor {
namespace {

constexpr int64_t kGrainRows = 16; // fewer rows are not worth another thread

} // namespace

Type type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return Type::kF64;
    case at::kBFloat16:
      return Type::kBf16;
    default:
      return Type::kF32;
  }
}

at::ScalarType scalar_type(Type type) {
  return type == Type::kF64 ? at::kDouble
      : type == Type::kF32  ? at::kFloat
                            : at::kBFloat16;
}

at::Tensor empty(Type type, at::IntArrayRef shape) {
  return at::empty(shape, at::TensorOptions().dtype(scalar_type(type)));
}

Matrix matrix(const at::Tensor& x) {
  return {x.const_data_ptr(), type_of(x), x.stride(0), x.stride(1)};
}

at::Tensor columns(const at::Tensor& x, int64_t begin, int64_t count) {
  return x.narrow(1, begin, count);
}

void add_in_order(
    const std::vector<at::Tensor>& gradients,
    const at::Tensor& sums) {
  int64_t width = sums.size(2);
  auto kinds = static_cast<int64_t>(gradients.size());
  auto add = [&]<class T>() {
    for (int64_t kind = 0; kind < kinds; ++kind) {
      T* total = gradients[static_cast<size_t>(kind)].mutable_data_ptr<T>();
      const T* from = sums.const_data_ptr<T>() + kind * width;
      for (int64_t piece = 0; piece < sums.size(0); ++piece) {
        for (int64_t i = 0; i < width; ++i) {
          total[i] += from[piece * kinds * width + i];
        }
      }
    }
  };
  if (type_of(sums) == Type::kF64) {
    add.operator()<double>();
  } else {
    add.operator()<float>();
  }
}

// ---- norm ------------------------------------------------------------------

namespace {

NormRows norm_rows(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& norm,
    const NormStatistics& statistics,
    int64_t row,
    int64_t rows) {
  NormRows n;
  n.type = type_of(x);
  n.rows = rows;
  n.width = x.size(1);
  n.x = row_of(x, chunk.begin + row);
  n.weight = norm.weight.const_data_ptr();
  n.epsilon = norm.epsilon;
  n.rstd = mutable_row_of(statistics.rstd, chunk.begin + row);
  if (norm.bias.defined()) {
    n.bias = norm.bias.const_data_ptr();
    n.mean = mutable_row_of(statistics.mean, chunk.begin + row);
  }
  return n;
}

} // namespace

NormStatistics make_statistics(const Norm& norm, const at::Tensor& x) {
  NormStatistics statistics;
  statistics.rstd = empty(type_of(x), {x.size(0)});
  if (norm.bias.defined()) {
    statistics.mean = empty(type_of(x), {x.size(0)});
  }
  return statistics;
}

at::Tensor norm(
    const Chunk& chunk,
    const at::Tensor& x,
    const Norm& norm,
    const NormStatistics& statistics) {
  at::Tensor y = empty(type_of(x), {chunk.size(), x.size(1)});
  parallel_for(chunk.size(), kGrainRows, [&](int64_t begin, int64_t end) {
    kernels().norm(
        norm_rows(chunk, x, norm, statistics, begin, end - begin),
        mutable_row_of(y, begin));
  });
  return y;
}

void norm_backward(
    const Chunk& chunk,
    const at::Tensor& x,
    const at::Tensor& dy,
    const Norm& norm,
    const NormStatistics& statistics,
    const at::Tensor& dx,
    const NormGradients& gradients) {
  at::Tensor unused = empty(type_of(x), {x.size(1)});
  std::vector<at::Tensor> sums = {gradients.weight, gradients.bias};
  for (at::Tensor& sum : sums) { // the kernel makes both
    sum = sum.defined() ? sum : unused;
  }
  fold_pieces(chunk, sums, [&](int64_t begin, int64_t rows, void* piece) {
    kernels().norm_backward(
        norm_rows(chunk, x, norm, statistics, begin, rows),
        row_of(dy, begin),
        mutable_row_of(dx, chunk.begin + begin),
        piece);
  });
}

// ---- activation ------------------------------------------------------------

at::Tensor value_columns(const at::Tensor& x, bool gated) {
  int64_t width = gated ? x.size(1) / 2 : x.size(1);
  return columns(x, x.size(1) - width, width);
}

at::Tensor activate(const at::Tensor& x, Activation activation, bool gated) {
  at::Tensor inner = value_columns(x, gated);
  at::Tensor y = empty(type_of(x), inner.sizes());
  parallel_for(x.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels().activate(
          {.activation = activation,
           .type = type_of(x),
           .count = y.size(1),
           .gate = gated ? row_of(x, i) : nullptr,
           .x = row_of(inner, i),
           .y = mutable_row_of(y, i)});
    }
  });
  return y;
}

at::Tensor activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated) {
  at::Tensor inner = value_columns(x, gated);
  at::Tensor dinner = value_columns(dx, gated);
  at::Tensor y = columns(x, 0, inner.size(1));
  parallel_for(x.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels().activate_backward(
          {.activation = activation,
           .type = type_of(x),
           .count = y.size(1),
           .gate = gated ? row_of(x, i) : nullptr,
           .x = row_of(inner, i),
           .y = mutable_row_of(y, i)},
          {.dy = row_of(dinner, i),
           .dgate = gated ? mutable_row_of(dx, i) : nullptr,
           .dx = mutable_row_of(dinner, i)});
    }
  });
  return y;
}

// ---- positions and embeddings ----------------------------------------------

RotaryTable rotary_table(
    int64_t positions,
    const at::Tensor& frequencies,
    at::ScalarType dtype) {
  at::Tensor angle = at::arange(positions, frequencies.options()).unsqueeze(1) *
      frequencies; // [positions, D/2]
  at::Tensor cos = at::empty_like(angle);
  at::Tensor sin = at::empty_like(angle);
  const float* from = angle.const_data_ptr<float>();
  auto* to_cos = cos.mutable_data_ptr<float>();
  auto* to_sin = sin.mutable_data_ptr<float>();
  constexpr int64_t kGrain = 1 << 12;
  parallel_for(angle.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto [c, s] = cosine_and_sine(from[i]);
      to_cos[i] = static_cast<float>(c);
      to_sin[i] = static_cast<float>(s);
    }
  });
  return {cos.to(dtype), sin.to(dtype)};
}

void rotate(
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& positions,
    const RotaryTable& table,
    bool inverse) {
  const int64_t* position = positions.const_data_ptr<int64_t>();
  int64_t limit = table.cos.size(0);
  for (int64_t t = 0; t < qkv.size(0); ++t) {
    if (position[t] < 0 || position[t] >= limit) {
      throw DataError(fmt::format(
          "[model] position {} is not among the {} of the model. Shorten the "
          "samples.",
          position[t],
          limit));
    }
  }
  parallel_for(qkv.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    kernels().rotate(
        {.type = type_of(qkv),
         .rows = end - begin,
         .heads = heads.queries + heads.keys,
         .dim = heads.dim,
         .stride = qkv.stride(0),
         .positions = position + begin,
         .cos = table.cos.const_data_ptr(),
         .sin = table.sin.const_data_ptr(),
         .inverse = inverse,
         .x = mutable_row_of(qkv, begin)});
  });
}

void embed_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& gradient) {
  at::Tensor sum = gradient;
  sum.index_add_(0, ids, dy); // adds in the order of ids
}

void embed_rows_backward(
    const at::Tensor& ids,
    const at::Tensor& dy,
    const at::Tensor& trained,
    const at::Tensor& gradient) {
  std::span<const int64_t> rows(
      trained.const_data_ptr<int64_t>(), static_cast<size_t>(trained.numel()));
  const int64_t* id = ids.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < ids.numel(); ++t) { // adds in the order of ids
    auto row = std::ranges::find(rows, id[t]); // there are few
    if (row != rows.end()) {
      gradient[row - rows.begin()].add_(dy[t]);
    }
  }
}

// ---- dropout ---------------------------------------------------------------

void Dropout::apply(
    const Chunk& chunk,
    uint64_t site,
    const at::Tensor& x,
    const at::Tensor& base,
    const at::Tensor& y) const {
  int64_t width = x.size(1);
  uint64_t step_key = mix(key_.seed, key_.step);
  auto rows = [&](size_t sample, int64_t first, int64_t count) {
    DropoutRange range;
    range.key = mix(step_key, mix(sample_ids_[sample], site));
    range.first = static_cast<uint64_t>((first - offsets_[sample]) * width);
    range.count = count * width;
    range.threshold = static_cast<uint64_t>(std::ldexp(key_.probability, 32));
    range.scale = 1 / (1 - key_.probability);
    int64_t row = first - chunk.begin;
    range.type = type_of(x);
    range.x = row_of(x, row);
    range.base = base.defined() ? row_of(base, row) : nullptr;
    range.y = mutable_row_of(y, row);
    kernels().dropout(range);
  };
  parallel_for(chunk.size(), kGrainRows, [&](int64_t begin, int64_t end) {
    for (size_t s = 0; s + 1 < offsets_.size(); ++s) {
      int64_t first = std::max(offsets_[s], chunk.begin + begin);
      int64_t last = std::min(offsets_[s + 1], chunk.begin + end);
      if (first < last) {
        rows(s, first, last - first);
      }
    }
  });
}

// ---- norm of gradients -----------------------------------------------------

double l2_norm(const at::Tensor& x) {
  constexpr int64_t kPart = int64_t{1} << 16;
  auto dtype = x.scalar_type();
  if (!x.is_cpu() || !x.is_contiguous() ||
      (dtype != at::kFloat && dtype != at::kDouble)) {
    return at::linalg_vector_norm(x).item<double>();
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

// ---- optimizer -------------------------------------------------------------

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

void adamw(
    const AdamWStep& step,
    const at::Tensor& gradient,
    const at::Tensor& parameter,
    const at::Tensor& average,
    const at::Tensor& square_average) {
  constexpr int64_t kGrain = 1 << 14;
  const auto* g = static_cast<const char*>(gradient.const_data_ptr());
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

// ---- loss ------------------------------------------------------------------

at::Tensor cross_entropy(
    const Chunk& chunk,
    const at::Tensor& x,
    const Linear& head,
    Type compute,
    const at::Tensor& targets,
    const at::Tensor& weights,
    const at::Tensor& dx,
    const LinearGradients& gradients) {
  int64_t vocab = head.weight.size(0);
  const int64_t* target = targets.const_data_ptr<int64_t>() + chunk.begin;
  const double* weight = weights.const_data_ptr<double>() + chunk.begin;
  for (int64_t t = 0; t < chunk.size(); ++t) {
    if (weight[t] != 0 && (target[t] < 0 || target[t] >= vocab)) {
      throw DataError(fmt::format(
          "[model] target {} is not in the vocabulary of {}.",
          target[t],
          vocab));
    }
  }
  at::Tensor logits = empty(type_of(x), {chunk.size(), vocab});
  at::Tensor dlogits = compute == Type::kBf16
      ? columns(logits.view(at::kBFloat16), 0, vocab)
      : logits; // in place, and rounded once for both products
  linear(x, head, compute, logits);
  at::Tensor losses = empty(Type::kF64, {chunk.size()});
  double* loss = losses.mutable_data_ptr<double>();
  parallel_for(chunk.size(), 1, [&](int64_t begin, int64_t end) {
    LossRows rows;
    rows.type = type_of(x);
    rows.rows = end - begin;
    rows.vocab = vocab;
    rows.logits = mutable_row_of(logits, begin);
    rows.gradient_type = type_of(dlogits);
    rows.targets = target + begin;
    rows.weights = weight + begin;
    rows.losses = loss + begin;
    rows.gradient = dx.defined();
    kernels().loss(rows);
  });
  if (dx.defined()) {
    linear_input_gradient(dlogits, head, compute, dx);
    linear_weight_gradient(chunk, x, dlogits, head, compute, gradients);
  }
  return losses;
}

at::Tensor sum_in_order(const at::Tensor& x) {
  const double* values = x.const_data_ptr<double>();
  return at::scalar_tensor(
      std::accumulate(values, values + x.numel(), 0.0), x.options());
}

} // namespace accrue::tensor
