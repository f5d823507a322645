// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "tensor/cuda/backend.h"

namespace accrue::tensor::cuda {
namespace {

/// Queries, keys or values [T, heads, D] of qkv, views.
struct Projections {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

Projections projections_of(const at::Tensor& qkv, const Heads& heads) {
  const at::Tensor all =
      qkv.unflatten(1, {heads.queries + 2 * heads.keys, heads.dim});
  return {
      all.narrow(1, 0, heads.queries),
      all.narrow(1, heads.queries, heads.keys),
      all.narrow(1, heads.queries + heads.keys, heads.keys)};
}

/// Returns the length that kernels are told: a sample of one token would be
/// given to another kernel.
int64_t longest(std::span<const int64_t> offsets) {
  int64_t length = 2;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    length = std::max(length, offsets[i + 1] - offsets[i]);
  }
  return length;
}

/// While one lives, the backward of flash attention adds up in a fixed order.
class FixedOrder {
 public:
  FixedOrder()
      : deterministic_(at::globalContext().deterministicAlgorithms()),
        warn_only_(at::globalContext().deterministicAlgorithmsWarnOnly()),
        fills_(at::globalContext().deterministicFillUninitializedMemory()) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  }
  ~FixedOrder() {
    at::globalContext().setDeterministicAlgorithms(deterministic_, warn_only_);
    at::globalContext().setDeterministicFillUninitializedMemory(fills_);
  }
  FixedOrder(const FixedOrder&) = delete;
  FixedOrder& operator=(const FixedOrder&) = delete;

 private:
  bool deterministic_;
  bool warn_only_;
  bool fills_;
};

} // namespace

bool CudaBackend::has_flash_attention(const at::Tensor& qkv, const Heads& heads)
    const {
  constexpr int64_t kLargestDim = 256;
  return qkv.scalar_type() == at::kBFloat16 && heads.dim % 8 == 0 &&
      heads.dim <= kLargestDim;
}

void CudaBackend::attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp) const {
  const at::NoGradGuard no_grad;
  if (!has_flash_attention(qkv, heads)) {
    PortableBackend::attention(offsets, qkv, heads, out, logsumexp);
    return;
  }
  const Projections x = projections_of(qkv, heads);
  const at::Tensor starts =
      arrays_.get({offsets.begin(), offsets.end()}, at::kInt, qkv.device());
  const int64_t length = longest(offsets);
  const auto result = at::_flash_attention_forward(
      x.q,
      x.k,
      x.v,
      starts,
      starts,
      length,
      length,
      /*dropout_p=*/0.0,
      /*is_causal=*/true,
      /*return_debug_mask=*/false);
  const at::Tensor& sums = std::get<1>(result);
  if (sums.sizes() != logsumexp.sizes()) {
    throw Error(
        "[cuda] this LibTorch's flash attention lays out its sums in a way "
        "that is not known. Report this with the output of accrue --version.");
  }
  out.copy_(std::get<0>(result).flatten(1));
  logsumexp.copy_(sums);
}

at::Tensor CudaBackend::attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout) const {
  const at::NoGradGuard no_grad;
  if (!has_flash_attention(qkv, heads)) {
    return PortableBackend::attention_backward(
        chunk, offsets, qkv, heads, out, logsumexp, dout);
  }
  at::Tensor dqkv =
      empty(type_of(dout), {chunk.size(), heads.qkv_width()}, qkv);
  // The order of its sums depends on the number of samples in a call.
  auto first = static_cast<size_t>(chunk.first_sample);
  int64_t begin = chunk.begin;
  for (int64_t end : chunk.segments) {
    size_t last = first;
    std::vector<int64_t> starts{0};
    while (offsets[last] < chunk.begin + end) {
      ++last;
      starts.push_back(offsets[last] - begin);
    }
    auto rows = [&](const at::Tensor& x, int64_t from) {
      return x.narrow(0, begin - from, starts.back());
    };
    grain_attention_backward(
        starts,
        rows(qkv, 0),
        heads,
        rows(out, 0),
        logsumexp.narrow(1, begin, starts.back()),
        rows(dout, chunk.begin),
        rows(dqkv, chunk.begin));
    first = last;
    begin = chunk.begin + end;
  }
  return dqkv;
}

/// Computes attention_backward() of a grain; `offsets` and rows are its own.
void CudaBackend::grain_attention_backward(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout,
    const at::Tensor& dqkv) const {
  const Projections x = projections_of(qkv, heads);
  const Projections dx = projections_of(dqkv, heads);
  const at::Tensor starts =
      arrays_.get({offsets.begin(), offsets.end()}, at::kInt, qkv.device());
  const int64_t length = longest(offsets);
  const at::Tensor no_dropout =
      at::empty({2}, logsumexp.options().dtype(at::kLong));
  const FixedOrder fixed_order;
  const auto [dq, dk, dv] = at::_flash_attention_backward(
      dout.unflatten(1, {heads.queries, heads.dim}),
      x.q,
      x.k,
      x.v,
      out.unflatten(1, {heads.queries, heads.dim}),
      logsumexp.contiguous(),
      starts,
      starts,
      length,
      length,
      /*dropout_p=*/0.0,
      /*is_causal=*/true,
      no_dropout,
      no_dropout);
  dx.q.copy_(dq);
  dx.k.copy_(dk);
  dx.v.copy_(dv);
}

} // namespace accrue::tensor::cuda
