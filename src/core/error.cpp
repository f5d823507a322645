// SPDX-License-Identifier: Apache-2.0
#include "accrue/core/error.h"

#include <fmt/format.h>

namespace accrue {

std::string Problems::message(const std::string& tag) const {
  if (list_.size() == 1) {
    return fmt::format("[{}] {}", tag, list_.front());
  }
  std::string text = fmt::format("[{}] {} problems:", tag, list_.size());
  for (const std::string& problem : list_) {
    text += "\n  - " + problem;
  }
  return text;
}

} // namespace accrue
