// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "text/jinja/value.h"

namespace accrue::jinja {

/// Variables of a block, and the block around it.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::unordered_map<std::string, Value> variables;
  bool captured = false; // whether a macro refers to it
};
using ScopePtr = std::shared_ptr<Scope>;

} // namespace accrue::jinja
