// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace accrue {

/// Seconds from `start` until now.
inline double seconds_since(std::chrono::steady_clock::time_point start) {
  std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return time.count();
}

} // namespace accrue
