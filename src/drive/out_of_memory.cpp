// SPDX-License-Identifier: Apache-2.0
#include "drive/out_of_memory.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "accrue/core/error.h"

namespace accrue::drive {

std::optional<std::string> out_of_memory(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const c10::OutOfMemoryError& error) {
    return error.what_without_backtrace();
  }
}

void with_fewer_tokens(
    int64_t tokens,
    const std::string& what,
    const std::function<void(int64_t tokens)>& work) {
  while (auto failure = out_of_memory([&] { work(tokens); })) {
    if (tokens <= 1) {
      throw MemoryError(fmt::format(
          "[memory] {} does not fit, alone: {} Raise --memory or shorten "
          "--seq-len.",
          what,
          *failure));
    }
    tokens /= 2;
  }
}

} // namespace accrue::drive
