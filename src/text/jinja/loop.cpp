// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/loop.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/evaluate_scope.h"
#include "text/jinja/operators.h"

namespace accrue::jinja {
namespace {

LoopObject& loop_of(const Value& self) {
  return self.as<LoopObject>();
}

constexpr Builtin kLoopMethods[] = {
    {"cycle",
     "*",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return loop_of(self).cycle(arguments.rest().positional);
     }},
    {"changed",
     "*",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return Value(
           loop_of(self).changed(make_tuple(arguments.rest().positional)));
     }},
};

} // namespace

LoopObject::LoopObject(
    Evaluator& evaluator,
    const For& node,
    Next items,
    std::optional<int64_t> length,
    int depth0)
    : Object(Type::kObject),
      evaluator_(evaluator),
      node_(node),
      scope_(evaluator.scope_),
      items_(std::move(items)),
      length_(length),
      depth0_(depth0) {}

void LoopObject::end() {
  length_ = length_.value_or(index0_ + 1);
  scope_.reset();
  items_ = [] { return std::optional<Value>(); };
  counted_.clear();
  after_.reset();
  before_ = current_ = Value();
  last_changed_.reset();
}

std::string LoopObject::describe() const {
  return fmt::format("<LoopContext {}/{}>", index0_ + 1, *length());
}

std::optional<Value> LoopObject::advance() {
  std::optional<Value> item = peek();
  after_.reset();
  if (item) {
    ++index0_;
    before_ = std::exchange(current_, *item);
  }
  return item;
}

const std::optional<Value>& LoopObject::peek() const {
  if (!after_) {
    if (counted_.empty()) {
      after_ = items_();
    } else {
      after_ = std::move(counted_.back());
      counted_.pop_back();
    }
  }
  return *after_;
}

std::optional<int64_t> LoopObject::length() const {
  if (!length_) {
    while (auto item = items_()) {
      counted_.push_back(std::move(*item));
    }
    bool read_ahead = after_ && after_->has_value();
    length_ = static_cast<int64_t>(counted_.size()) + index0_ + 1 +
        (read_ahead ? 1 : 0);
    std::reverse(counted_.begin(), counted_.end());
  }
  return length_;
}

std::optional<Value> LoopObject::attribute(const std::string& name) {
  if (name == "index0" || name == "index") {
    return index0_ + (name == "index" ? 1 : 0);
  }
  if (name == "first") {
    return index0_ == 0;
  }
  if (name == "last") {
    return !peek().has_value();
  }
  if (name == "length") {
    return *length();
  }
  if (name == "revindex0" || name == "revindex") {
    return *length() - index0_ - (name == "revindex0" ? 1 : 0);
  }
  if (name == "previtem") {
    return index0_ == 0 ? Value::undefined("there is no previous item")
                        : before_;
  }
  if (name == "nextitem") {
    return peek() ? *peek() : Value::undefined("there is no next item");
  }
  if (name == "depth0" || name == "depth") {
    return depth0_ + (name == "depth" ? 1 : 0);
  }
  for (const Builtin& method : kLoopMethods) {
    if (name == method.name) {
      return Value(std::make_shared<Function>(method, shared_from_this()));
    }
  }
  return std::nullopt;
}

Value LoopObject::call(Runtime&, Arguments arguments) {
  if (!node_.recursive || scope_ == nullptr) {
    fail("only a loop with the word 'recursive' can be called");
  }
  Bound bound("loop", "iterable", std::move(arguments));
  const ScopePtr outer = std::exchange(evaluator_.scope_, scope_);
  struct Restore {
    Evaluator& evaluator;
    const ScopePtr& scope;
    ~Restore() {
      evaluator.scope_ = scope;
    }
  } restore{evaluator_, outer};
  return evaluator_.capture(
      [&] { evaluator_.run_loop(node_, bound[0], depth0_ + 1); });
}

Value LoopObject::cycle(const std::vector<Value>& values) const {
  if (values.empty()) {
    fail("loop.cycle() needs values");
  }
  return values[static_cast<size_t>(index0_) % values.size()];
}

bool LoopObject::changed(const Value& value) {
  bool differs = !last_changed_ || !equal(*last_changed_, value);
  last_changed_ = value;
  return differs;
}

} // namespace accrue::jinja
