#include "accrue/tensor/ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cmath>
#include <vector>

#include "accrue/core/random.h"

namespace accrue::tensor {
namespace {

at::Tensor as(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.defined() ? tensor.to(like.scalar_type()) : tensor;
}

/// q [S, L, H, D] -> [S, L, H, D], one length for all samples.
at::Tensor attend(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v) {
  bool grouped = q.size(2) != k.size(2);
  return at::scaled_dot_product_attention(
             q.transpose(1, 2), // [S, H, L, D]
             k.transpose(1, 2),
             v.transpose(1, 2),
             /*attn_mask=*/{},
             /*dropout_p=*/0.0,
             /*is_causal=*/true,
             /*scale=*/std::nullopt,
             /*enable_gqa=*/grouped)
      .transpose(1, 2);
}

bool equal_lengths(std::span<const int64_t> offsets) {
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] != static_cast<int64_t>(i) * offsets[1]) {
      return false;
    }
  }
  return true;
}

} // namespace

at::Tensor linear(
    const at::Tensor& x,
    const at::Tensor& weight,
    const at::Tensor& bias,
    WeightLayout layout) {
  at::Tensor w = as(weight, x);
  at::Tensor b = as(bias, x);
  if (layout == WeightLayout::kOutIn) {
    return at::linear(x, w, b);
  }
  return b.defined() ? at::addmm(b, x, w) : at::matmul(x, w);
}

at::Tensor layer_norm(
    const at::Tensor& x,
    const at::Tensor& weight,
    const at::Tensor& bias,
    double epsilon) {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
}

at::Tensor rms_norm(
    const at::Tensor& x,
    const at::Tensor& weight,
    double epsilon) {
  return at::rms_norm(x, {x.size(-1)}, weight, epsilon);
}

RotaryTable rotary_table(
    int64_t positions,
    int64_t head_dim,
    double theta,
    at::ScalarType dtype) {
  auto fp32 = at::TensorOptions().dtype(at::kFloat);
  at::Tensor exponent = at::arange(0, head_dim, 2, fp32) / head_dim; // [D/2]
  at::Tensor frequency =
      exponent.new_full({}, theta).pow(exponent).reciprocal();
  at::Tensor angle =
      at::arange(positions, fp32).unsqueeze(1) * frequency; // [positions, D/2]
  return {angle.cos().to(dtype), angle.sin().to(dtype)};
}

at::Tensor rotate(
    const at::Tensor& x,
    const at::Tensor& positions,
    const RotaryTable& table) {
  at::Tensor cos = table.cos.index_select(0, positions).unsqueeze(1);
  at::Tensor sin = table.sin.index_select(0, positions).unsqueeze(1);
  auto halves = x.chunk(2, -1); // [T, heads, D/2] each
  at::Tensor rotated = at::cat(
      {halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin},
      -1);
  return as(rotated, /*like=*/x);
}

at::Tensor attention(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    std::span<const int64_t> offsets) {
  auto num_samples = static_cast<int64_t>(offsets.size()) - 1;
  if (equal_lengths(offsets)) {
    auto by_sample = [&](const at::Tensor& x) {
      return x.view({num_samples, -1, x.size(1), x.size(2)});
    };
    return attend(by_sample(q), by_sample(k), by_sample(v)).reshape(q.sizes());
  }
  std::vector<at::Tensor> outputs;
  outputs.reserve(static_cast<size_t>(num_samples));
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    auto sample = [&](const at::Tensor& x) {
      return x.slice(0, offsets[i], offsets[i + 1]).unsqueeze(0);
    };
    outputs.push_back(attend(sample(q), sample(k), sample(v)).squeeze(0));
  }
  return at::cat(outputs, 0);
}

at::Tensor cross_entropy_sum(
    const at::Tensor& hidden,
    const at::Tensor& head,
    const at::Tensor& targets,
    const at::Tensor& weights) {
  at::Tensor logits = linear(hidden, head, /*bias=*/at::Tensor());
  if (logits.scalar_type() == at::kBFloat16) {
    logits = logits.to(at::kFloat);
  }
  at::Tensor loss = at::cross_entropy_loss(
      logits, targets, /*weight=*/{}, at::Reduction::None); // [T]
  return (loss.to(at::kDouble) * weights.to(at::kDouble)).sum();
}

at::Tensor dropout(
    const at::Tensor& x,
    std::span<const int64_t> offsets,
    std::span<const uint64_t> sample_ids,
    uint64_t site,
    const DropoutKey& key) {
  if (key.probability <= 0) {
    return x;
  }
  auto threshold = static_cast<uint64_t>(std::ldexp(key.probability, 32));
  auto scale = static_cast<float>(1 / (1 - key.probability));
  int64_t width = x.size(1);
  at::Tensor mask = at::empty(x.sizes(), at::TensorOptions().dtype(at::kFloat));
  float* out = mask.mutable_data_ptr<float>();
  for (size_t s = 0; s < sample_ids.size(); ++s) {
    CounterRandom random(
        mix(mix(key.seed, key.step), mix(sample_ids[s], site)));
    auto count = static_cast<uint64_t>((offsets[s + 1] - offsets[s]) * width);
    for (uint64_t i = 0; i < count; i += 4) {
      auto words = random.bits(i / 4);
      for (uint64_t j = i; j < std::min(i + 4, count); ++j) {
        *out++ = words[j - i] < threshold ? 0.0F : scale;
      }
    }
  }
  return x * mask.to(x.options());
}

} // namespace accrue::tensor
