// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>

#include "core/philox.h"
#include "tensor/portable/backend.h"

namespace accrue::tensor::portable {
namespace {

constexpr int64_t kLow = 0xffffffff; // the low word of an int64

/// Returns the upper 32 bits of each element.
at::Tensor high_word(const at::Tensor& x) {
  return x.__rshift__(32).bitwise_and_(kLow);
}

/// Returns 4 · num_counters random words, those of counters [first_counter,
/// first_counter + num_counters), of Philox. One int64 holds one 32-bit word; a
/// product keeps its low 64 bits, which is all of it.
at::Tensor random_words(
    uint64_t key,
    int64_t first_counter,
    int64_t num_counters,
    at::Device device) {
  at::Tensor counter = at::arange(
      first_counter,
      first_counter + num_counters,
      at::TensorOptions().dtype(at::kLong).device(device));
  std::array<at::Tensor, 4> c = {
      counter.bitwise_and(kLow),
      high_word(counter),
      at::zeros_like(counter),
      at::zeros_like(counter)};
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    at::Tensor p0 = c[0] * int64_t{kPhiloxMultiplier0};
    at::Tensor p1 = c[2] * int64_t{kPhiloxMultiplier1};
    c = {
        high_word(p1).bitwise_xor_(c[1]).bitwise_xor_(int64_t{key0}),
        p1.bitwise_and(kLow),
        high_word(p0).bitwise_xor_(c[3]).bitwise_xor_(int64_t{key1}),
        p0.bitwise_and(kLow)};
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return at::stack(c, 1).flatten();
}

} // namespace

void PortableBackend::apply_dropout(
    const Dropout& dropout,
    const Chunk& chunk,
    uint64_t site,
    const at::Tensor& x,
    const at::Tensor& base,
    const at::Tensor& y) const {
  const at::NoGradGuard no_grad;
  std::span<const int64_t> offsets = dropout.offsets();
  const auto threshold = static_cast<int64_t>(dropout.threshold());
  const int64_t width = x.size(1);
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    int64_t begin = std::max(offsets[s], chunk.begin);
    int64_t end = std::min(offsets[s + 1], chunk.end);
    if (begin >= end) {
      continue;
    }
    int64_t first = (begin - offsets[s]) * width; // element of the sample
    int64_t count = (end - begin) * width;
    at::Tensor words = random_words(
        dropout.mask_key(s, site),
        first / 4,
        (first + count + 3) / 4 - first / 4,
        x.device());
    at::Tensor drops =
        words.narrow(0, first % 4, count).lt(threshold).view({-1, width});
    auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, begin - chunk.begin, end - begin);
    };
    at::Tensor kept = rows(x) * dropout.scale();
    at::Tensor rest = base.defined() ? rows(base) : at::zeros_like(kept);
    rows(y).copy_(at::where(drops, rest, kept + rest));
  }
}

} // namespace accrue::tensor::portable
