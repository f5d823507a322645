// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace accrue::drive {

/// Runs `work`. Returns the message if a device ran out of memory; any other
/// exception passes.
[[nodiscard]] std::optional<std::string> out_of_memory(
    const std::function<void()>& work);

/// Runs work(tokens) with fewer and fewer tokens at once, from `tokens` on,
/// until memory suffices. Throws MemoryError naming `what` if not even one
/// fits.
void with_fewer_tokens(
    int64_t tokens,
    const std::string& what,
    const std::function<void(int64_t tokens)>& work);

} // namespace accrue::drive
