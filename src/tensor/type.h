// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace accrue::tensor {

/// Element types. Sums of kBf16 are computed in fp32.
enum class Type : uint8_t { kF32, kF64, kBf16 };

/// Bytes of one element.
constexpr size_t size_of(Type type) {
  return type == Type::kF64 ? 8 : type == Type::kF32 ? 4 : 2;
}

/// Type of sums and gradients of elements of `type`.
constexpr Type sum_type(Type type) {
  return type == Type::kF64 ? Type::kF64 : Type::kF32;
}

/// Longest segment of a sum over k.
constexpr int64_t segment_limit(Type compute) {
  return 1024 / static_cast<int64_t>(size_of(compute));
}

} // namespace accrue::tensor
