// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include "text/jinja/parser.h"

namespace accrue::jinja {

/// Limit of nested expressions or statements.
inline constexpr int kMaxNesting = 200;

class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : level_(parser.level_) {
    if (level_ >= kMaxNesting) {
      parser.fail(fmt::format("nested beyond {} levels", kMaxNesting));
    }
    ++level_;
  }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() {
    --level_;
  }

 private:
  int& level_;
};

} // namespace accrue::jinja
