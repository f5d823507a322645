// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "io/json.h"

namespace accrue {

/// Limit of ids. They index a table, which a single huge id would make huge.
inline constexpr uint32_t kMaxIds = 1U << 24;

/// Reads a token id. Throws DataError if it is not in [0, kMaxIds).
inline uint32_t read_id(const io::Node& node) {
  const int64_t id = node.integer();
  if (id < 0 || id >= kMaxIds) {
    node.fail(fmt::format("must be in [0, {})", kMaxIds));
  }
  return static_cast<uint32_t>(id);
}

} // namespace accrue
