// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace accrue {

/// Called from time to time during long work, with the name of the work and
/// the amount done and in total.
using ProgressCallback =
    std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

} // namespace accrue
