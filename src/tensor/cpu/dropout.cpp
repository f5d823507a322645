// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>

#include "tensor/cpu/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"

namespace accrue::tensor {

void CpuBackend::apply_dropout(
    const Dropout& dropout,
    const Chunk& chunk,
    uint64_t site,
    const at::Tensor& x,
    const at::Tensor& base,
    const at::Tensor& y) const {
  std::span<const int64_t> offsets = dropout.offsets();
  int64_t width = x.size(1);
  auto rows = [&](size_t sample, int64_t first, int64_t count) {
    DropoutRange range;
    range.key = dropout.mask_key(sample, site);
    range.first = static_cast<uint64_t>((first - offsets[sample]) * width);
    range.count = count * width;
    range.threshold = dropout.threshold();
    range.scale = dropout.scale();
    int64_t row = first - chunk.begin;
    range.type = type_of(x);
    range.x = row_of(x, row);
    range.base = base.defined() ? row_of(base, row) : nullptr;
    range.y = mutable_row_of(y, row);
    kernels().dropout(range);
  };
  parallel_for(chunk.size(), kGrainRows, [&](int64_t begin, int64_t end) {
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      int64_t first = std::max(offsets[s], chunk.begin + begin);
      int64_t last = std::min(offsets[s + 1], chunk.begin + end);
      if (first < last) {
        rows(s, first, last - first);
      }
    }
  });
}

} // namespace accrue::tensor
