// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/ones.h>

#include <cmath>
#include <limits>

#include "tensor/portable/arithmetic.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

/// Projections of one sample of length L, of the compute type.
struct Projections {
  at::Tensor q; // [H, L, D]
  at::Tensor k; // [H, L, D]: a key head once per query head of its group
  at::Tensor v; // [H, L, D]
};

/// Returns rows [L, heads · D] as [heads, L, D].
at::Tensor by_head(const at::Tensor& rows, int64_t dim) {
  return rows.unflatten(1, {-1, dim}).transpose(0, 1);
}

/// Returns x [heads, L, D] as rows [L, heads · D].
at::Tensor as_rows(const at::Tensor& x) {
  return x.transpose(0, 1).flatten(1);
}

Projections projections_of(const at::Tensor& qkv, const Heads& heads) {
  at::Tensor all = by_head(qkv, heads.dim);
  auto repeated_for_queries = [&](int64_t first) {
    return all.narrow(0, first, heads.keys).repeat_interleave(heads.group(), 0);
  };
  return {
      all.narrow(0, 0, heads.queries),
      repeated_for_queries(heads.queries),
      repeated_for_queries(heads.queries + heads.keys)};
}

/// Returns the scaled scores [H, L, L]; -inf where the causal mask hides.
at::Tensor masked_scores(const Projections& x, double scale, Type compute) {
  at::Tensor scores = product(x.q, x.k.transpose(1, 2), compute).mul_(scale);
  int64_t length = scores.size(1);
  at::Tensor hidden =
      at::ones({length, length}, scores.options().dtype(at::kBool)).triu(1);
  return scores.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

double scale_of(const Heads& heads) {
  return 1 / std::sqrt(static_cast<double>(heads.dim));
}

} // namespace

void PortableBackend::attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp) const {
  const at::NoGradGuard no_grad;
  const Type compute = type_of(qkv);
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    int64_t begin = offsets[i];
    int64_t length = offsets[i + 1] - begin;
    Projections x = projections_of(qkv.narrow(0, begin, length), heads);
    at::Tensor scores = masked_scores(x, scale_of(heads), compute);
    at::Tensor logsumexps = at::logsumexp(scores, 2); // [H, L]
    at::Tensor p = (scores - logsumexps.unsqueeze(2)).exp_();
    out.narrow(0, begin, length).copy_(as_rows(product(p, x.v, compute)));
    logsumexp.narrow(1, begin, length).copy_(logsumexps);
  }
}

at::Tensor PortableBackend::attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout) const {
  const at::NoGradGuard no_grad;
  const Type compute = type_of(qkv);
  const double scale = scale_of(heads);
  at::Tensor dqkv = empty(type_of(dout), {chunk.size(), qkv.size(1)}, dout);
  for (int64_t i = chunk.first_sample; i < chunk.last_sample; ++i) {
    int64_t begin = offsets[static_cast<size_t>(i)];
    int64_t length = offsets[static_cast<size_t>(i + 1)] - begin;
    Projections x = projections_of(qkv.narrow(0, begin, length), heads);
    at::Tensor p = (masked_scores(x, scale, compute) -
                    logsumexp.narrow(1, begin, length).unsqueeze(2))
                       .exp_(); // [H, L, L]
    int64_t row = begin - chunk.begin;
    at::Tensor d = by_head(dout.narrow(0, row, length), heads.dim);
    at::Tensor o = by_head(widen(out.narrow(0, begin, length)), heads.dim);
    // Σ o · d per row, which the softmax's gradient subtracts (arXiv
    // 2205.14135).
    at::Tensor delta = (o * d).sum(2, /*keepdim=*/true); // [H, L, 1]
    at::Tensor dscores =
        (product(d, x.v.transpose(1, 2), compute) - delta).mul_(p).mul_(scale);
    auto write = [&](int64_t first, int64_t count, const at::Tensor& gradient) {
      columns(dqkv.narrow(0, row, length), first * heads.dim, count * heads.dim)
          .copy_(as_rows(gradient));
    };
    // Gradients of the query heads of a group add up.
    auto grouped = [&](const at::Tensor& gradient) {
      return gradient.unflatten(0, {heads.keys, heads.group()}).sum(1);
    };
    write(0, heads.queries, product(dscores, x.k, compute));
    write(
        heads.queries,
        heads.keys,
        grouped(product(dscores.transpose(1, 2), x.q, compute)));
    write(
        heads.queries + heads.keys,
        heads.keys,
        grouped(product(p.transpose(1, 2), d, compute)));
  }
  return dqkv;
}

} // namespace accrue::tensor::portable
