// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/names.h"

#include <algorithm>

namespace accrue::jinja {
namespace {

bool is_special(const std::string& name) {
  return name == "caller" || name == "kwargs" || name == "varargs";
}

} // namespace

void Names::begin(bool is_macro) {
  scopes_.emplace_back().is_macro = is_macro;
}

std::shared_ptr<Names::Hidden> Names::end() {
  Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  // A name that this block knows has the same meaning in the blocks within it.
  for (auto& hidden : scope.inner) {
    std::erase_if(*hidden, [&](const std::string& name) {
      return scope.known.contains(name);
    });
  }
  if (!scopes_.empty()) {
    auto& inner = scopes_.back().inner;
    inner.insert(inner.end(), scope.inner.begin(), scope.inner.end());
    inner.push_back(scope.hidden);
  }
  return scope.hidden;
}

void Names::end(MacroDefinition& macro) {
  const auto& read = scopes_.back().special_read;
  auto reads = [&](const char* name) {
    return read.contains(name) &&
        std::find(macro.parameters.begin(), macro.parameters.end(), name) ==
        macro.parameters.end();
  };
  macro.reads_caller = reads("caller");
  macro.reads_kwargs = reads("kwargs");
  macro.reads_varargs = reads("varargs");
  macro.body.hidden = end();
}

void Names::begin_branch() {
  ++scopes_.back().branches;
}

void Names::end_branch() {
  --scopes_.back().branches;
}

void Names::read(const std::string& name) {
  scopes_.back().known.insert(name);
  if (is_special(name)) {
    for (Scope& scope : scopes_) {
      if (scope.is_macro && !scope.special_set.contains(name)) {
        scope.special_read.insert(name);
      }
    }
  }
}

void Names::set(const std::string& name) {
  Scope& scope = scopes_.back();
  if (scope.known.insert(name).second && scope.branches == 0) {
    scope.hidden->push_back(name);
  }
  set_special(name);
}

void Names::declare(const std::string& name) {
  scopes_.back().known.insert(name);
  set_special(name);
}

void Names::set_special(const std::string& name) {
  if (is_special(name)) {
    for (Scope& scope : scopes_) {
      scope.special_set.insert(name);
    }
  }
}

} // namespace accrue::jinja
