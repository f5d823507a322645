// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// Constants of Philox 4x32-10 (doi 10.1145/2063384.2063405), for each of its
// implementations: accrue::philox, and those of tensor/ for many counters.

namespace accrue {

constexpr int kPhiloxRounds = 10;
constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53;
constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57;
/// Added to the two words of the key after each round (Weyl sequences).
constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9;
constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85;

} // namespace accrue
