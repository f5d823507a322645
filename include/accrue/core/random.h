// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "accrue/core/export.h"

namespace accrue {

/// Philox4x32-10 (Salmon et al., SC 2011, doi 10.1145/2063384.2063405): a pure
/// function from (key, counter) to 128 random bits. A value depends only on its
/// key and counter, never on earlier draws.
[[nodiscard]] ACCRUE_API std::array<uint32_t, 4> philox(
    std::array<uint32_t, 2> key,
    std::array<uint32_t, 4> counter);

/// Mixes 64-bit words into a 64-bit key (SplitMix64's finaliser per word).
[[nodiscard]] ACCRUE_API uint64_t mix(uint64_t a, uint64_t b);

/// A stream of random numbers addressed by index: element i of the stream with
/// a given key is always the same.
class ACCRUE_API CounterRandom {
 public:
  explicit CounterRandom(uint64_t key) : key_(key) {}

  /// Four uniform 32-bit words at `index`.
  [[nodiscard]] std::array<uint32_t, 4> bits(uint64_t index) const;

  /// Two independent standard normal values at `index` (Box-Muller in fp64).
  [[nodiscard]] std::array<double, 2> normal(uint64_t index) const;

  /// Uniform value in [0, 1) with 53 bits at `index`.
  [[nodiscard]] double uniform(uint64_t index) const;

 private:
  uint64_t key_;
};

/// A random permutation of [0, size) evaluated one element at a time, in O(1)
/// time and memory: a four-round Feistel network on the next even power of
/// two, cycle-walked back into range (Black & Rogaway, CT-RSA 2002).
class ACCRUE_API Permutation {
 public:
  Permutation(uint64_t size, uint64_t key);

  /// Image of `position`, which must be < size.
  [[nodiscard]] uint64_t operator()(uint64_t position) const;

 private:
  uint64_t size_;
  uint64_t key_;
  unsigned half_bits_;
};

} // namespace accrue
