// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "accrue/tensor/types.h"
#include "tensor/stream.h"

namespace accrue::tensor {

/// Masks of one step. The mask of a sample is a pure function of (seed, step,
/// sample id, site, element), drawn from Philox; `site` numbers the places of a
/// model that drop.
class Dropout {
 public:
  Dropout(
      const DropoutKey& key,
      std::span<const int64_t> offsets,
      std::span<const uint64_t> sample_ids)
      : key_(key), offsets_(offsets), sample_ids_(sample_ids) {}

  bool active() const {
    return key_.probability > 0;
  }

  /// Computes the chunk's rows base + mask · x / (1 - p), all [R, C]. `base`
  /// may be undefined, and y may be x.
  void apply(
      const Chunk& chunk,
      uint64_t site,
      const at::Tensor& x,
      const at::Tensor& base,
      const at::Tensor& y) const;

  std::span<const int64_t> offsets() const {
    return offsets_;
  }
  std::span<const uint64_t> sample_ids() const {
    return sample_ids_;
  }
  /// Returns the part of the keys that all samples share.
  uint64_t step_key() const;
  /// Returns the key of the random words of a sample at a site: element i has
  /// word i % 4 of counter i / 4.
  uint64_t mask_key(size_t sample, uint64_t site) const;
  /// Returns the limit below which a random word drops its element: p · 2³².
  uint64_t threshold() const;
  /// Returns the factor 1 / (1 - p) of elements that are not dropped.
  double scale() const {
    return 1 / (1 - key_.probability);
  }

 private:
  DropoutKey key_;
  std::span<const int64_t> offsets_;
  std::span<const uint64_t> sample_ids_;
};

} // namespace accrue::tensor
