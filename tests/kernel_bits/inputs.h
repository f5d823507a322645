// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "accrue/core/random.h"

// Inputs of the kernels that are the same on every machine, and digests of
// their outputs.

namespace accrue::kernel_bits {

/// FNV-1a hash of values; every NaN counts as the same one.
class Digest {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    for (T value : values) {
      if (value != value) {
        value = std::numeric_limits<T>::quiet_NaN();
      }
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &value, sizeof(T));
      for (unsigned char byte : bytes) {
        hash_ = (hash_ ^ byte) * 0x100000001b3;
      }
    }
  }
  uint64_t value() const {
    return hash_;
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

/// Returns values in [-1, 1), the same on every machine.
inline std::vector<float> uniform(uint64_t key, int64_t count) {
  accrue::CounterRandom random(key);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(
        static_cast<float>(2 * random.uniform(static_cast<uint64_t>(i)) - 1));
  }
  return values;
}

/// Returns values of every exponent up to 2^`max`, denormals among them.
inline std::vector<float> every_exponent(
    uint64_t key,
    int64_t count,
    uint32_t max) {
  accrue::CounterRandom random(key);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    auto words = random.bits(static_cast<uint64_t>(i));
    uint32_t exponent = words[1] % 4 == 0 ? 0 : words[2] % (127 + max);
    uint32_t bits = (words[0] & 0x807fffffU) | exponent << 23;
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);
  }
  return values;
}

/// Truncates values to bf16.
inline std::vector<uint16_t> bf16(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (float value : values) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    halves.push_back(static_cast<uint16_t>(bits >> 16));
  }
  return halves;
}

/// Returns values · factor.
inline std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& value : values) {
    value *= factor;
  }
  return values;
}

} // namespace accrue::kernel_bits
