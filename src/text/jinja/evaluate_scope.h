// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <utility>

#include "text/jinja/evaluate.h"

namespace accrue::jinja {

class Evaluator::Level {
 public:
  explicit Level(Evaluator& evaluator) : level_(evaluator.level_) {
    constexpr int kMaxLevel = 1000;
    if (level_ >= kMaxLevel) {
      fail(fmt::format("recursion beyond {} levels", kMaxLevel));
    }
    ++level_;
  }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() {
    --level_;
  }

 private:
  int& level_;
};

class Evaluator::InnerScope {
 public:
  InnerScope(Evaluator& evaluator, ScopePtr parent)
      : evaluator_(evaluator), outer_(std::move(evaluator.scope_)) {
    evaluator.scope_ = std::make_shared<Scope>(Scope{std::move(parent)});
  }
  InnerScope(const InnerScope&) = delete;
  InnerScope& operator=(const InnerScope&) = delete;
  ~InnerScope() {
    evaluator_.scope_ = std::move(outer_);
  }

 private:
  Evaluator& evaluator_;
  ScopePtr outer_;
};

template <class Run>
std::string Evaluator::capture(Run run) {
  std::string text;
  struct Restore {
    Evaluator& evaluator;
    std::string* outer;
    ~Restore() {
      evaluator.target_ = outer;
    }
  } restore{*this, std::exchange(target_, &text)};
  run();
  return text;
}

} // namespace accrue::jinja
