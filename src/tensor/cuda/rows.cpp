// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>

#include "accrue/core/random.h"
#include "tensor/cuda/backend.h"
#include "tensor/cuda/kernel_access.h"

// Operations on each row alone: activations, rotary embeddings, dropout.

namespace accrue::tensor::cuda {

at::Tensor CudaBackend::activate(
    const at::Tensor& x,
    Activation activation,
    bool gated) const {
  const at::NoGradGuard no_grad;
  if (!is_plain(x)) {
    return PortableBackend::activate(x, activation, gated);
  }
  const int64_t width = gated ? x.size(1) / 2 : x.size(1);
  at::Tensor y = empty(type_of(x), {x.size(0), width}, x);
  launch(
      *launcher_,
      kernel_for("activate", type_of(x)).c_str(),
      by_column(width, x.size(0)),
      from(x),
      Wide{x.stride(0)},
      to(y),
      Wide{y.stride(0)},
      Wide{x.size(0)},
      static_cast<int>(width),
      static_cast<int>(activation),
      static_cast<int>(gated));
  return y;
}

at::Tensor CudaBackend::activate_backward(
    const at::Tensor& x,
    const at::Tensor& dx,
    Activation activation,
    bool gated) const {
  const at::NoGradGuard no_grad;
  if (!is_plain(x) || !is_plain(dx) || x.scalar_type() != dx.scalar_type()) {
    return PortableBackend::activate_backward(x, dx, activation, gated);
  }
  const int64_t width = gated ? x.size(1) / 2 : x.size(1);
  launch(
      *launcher_,
      kernel_for("activate_backward", type_of(x)).c_str(),
      by_column(width, x.size(0)),
      to(x),
      Wide{x.stride(0)},
      to(dx),
      Wide{dx.stride(0)},
      Wide{x.size(0)},
      static_cast<int>(width),
      static_cast<int>(activation),
      static_cast<int>(gated));
  return columns(x, 0, width);
}

void CudaBackend::rotate(
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& positions,
    const RotaryTable& table,
    bool inverse) const {
  const at::NoGradGuard no_grad;
  if (!is_plain(qkv) || table.cos.scalar_type() != at::kFloat) {
    PortableBackend::rotate(qkv, heads, positions, table, inverse);
    return;
  }
  launch(
      *launcher_,
      kernel_for("rotate", type_of(qkv)).c_str(),
      by_column(heads.rotated_width() / 2, qkv.size(0)),
      to(qkv),
      Wide{qkv.stride(0)},
      static_cast<int>(heads.queries + heads.keys),
      static_cast<int>(heads.dim),
      from(positions),
      from(table.cos),
      from(table.sin),
      Wide{qkv.size(0)},
      static_cast<int>(inverse));
}

void CudaBackend::apply_dropout(
    const Dropout& dropout,
    const Chunk& chunk,
    uint64_t site,
    const at::Tensor& x,
    const at::Tensor& base,
    const at::Tensor& y) const {
  using Key = unsigned long long;
  const at::NoGradGuard no_grad;
  if (x.scalar_type() != at::kFloat || !has_rows(x) || !is_plain(y) ||
      (base.defined() && base.scalar_type() != at::kFloat)) {
    PortableBackend::apply_dropout(dropout, chunk, site, x, base, y);
    return;
  }
  const std::span<const int64_t> offsets = dropout.offsets();
  const at::Tensor starts =
      arrays_.get({offsets.begin(), offsets.end()}, at::kInt, x.device());
  const std::span<const uint64_t> ids = dropout.sample_ids();
  const at::Tensor samples =
      arrays_.get({ids.begin(), ids.end()}, at::kLong, x.device());
  launch(
      *launcher_,
      kernel_for("dropout", type_of(y)).c_str(),
      by_row(chunk.size(), (x.size(1) + 3) / 4),
      from(x),
      Wide{x.stride(0)},
      from(base),
      Wide{base.defined() ? base.stride(0) : 0},
      to(y),
      Wide{y.stride(0)},
      from(starts),
      from(samples),
      static_cast<int>(ids.size()),
      Wide{chunk.begin},
      Key{dropout.step_key()},
      Key{site},
      Key{dropout.threshold()},
      static_cast<float>(dropout.scale()),
      static_cast<int>(x.size(1)));
}

} // namespace accrue::tensor::cuda
