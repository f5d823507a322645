// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace accrue::tensor {

/// Activation functions of an MLP: x · Φ(x) and its approximation with a tanh
/// (GELU, arXiv 1606.08415), and x · σ(x) (SiLU).
enum class Activation : uint8_t { kGeluTanh, kGelu, kSilu };

} // namespace accrue::tensor
