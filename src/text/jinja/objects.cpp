// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/objects.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

/// Limit of evaluated nodes and visited values, which take some seconds.
constexpr uint64_t kMaxSteps = 20'000'000;

} // namespace

Range::Range(int64_t first, int64_t end, int64_t stride)
    : Object(Type::kRange), start(first), stop(end), step(stride), length(0) {
  constexpr uint64_t kMaxLength = 100'000; // MAX_RANGE of Jinja's sandbox
  if (step == 0) {
    fail("range() arg 3 must not be zero");
  }
  if (step > 0 ? start < stop : start > stop) {
    // The distance may exceed 63 bits, so it is unsigned.
    auto low = static_cast<uint64_t>(step > 0 ? start : stop);
    auto high = static_cast<uint64_t>(step > 0 ? stop : start);
    uint64_t stride_size =
        step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
    uint64_t count = (high - low - 1) / stride_size + 1;
    if (count > kMaxLength) {
      fail(fmt::format("range too big: more than {} numbers", kMaxLength));
    }
    length = static_cast<int64_t>(count);
  }
}

std::optional<Value> Range::attribute(const std::string& name) {
  if (name == "start") {
    return start;
  }
  if (name == "stop") {
    return stop;
  }
  if (name == "step") {
    return step;
  }
  return std::nullopt;
}

View::View(std::shared_ptr<Dict> source, Part what)
    : Object(Type::kView), dict(std::move(source)), part(what) {
  depth = dict->depth;
  weight = dict->weight;
}

std::string View::type_name() const {
  return part == Part::kKeys ? "dict_keys"
      : part == Part::kItems ? "dict_items"
                             : "dict_values";
}

Value View::at(size_t index) const {
  const auto& [key, value] = dict->entries()[index];
  return part == Part::kKeys ? key
      : part == Part::kItems ? make_tuple({key, value})
                             : value;
}

Iterator::Iterator(const std::vector<Value>& sources, Next next)
    : Object(Type::kIterator), next_(std::move(next)) {
  for (const Value& source : sources) {
    hold(source);
  }
}

std::optional<Value> Iterator::next() {
  if (running_) {
    fail("generator already executing");
  }
  struct Running {
    bool& flag;
    ~Running() {
      flag = false;
    }
  } running{running_};
  running_ = true;
  return next_();
}

std::optional<Value> Namespace::attribute(const std::string& name) {
  auto found = attributes.find(name);
  return found == attributes.end() ? std::nullopt
                                   : std::optional(found->second);
}

std::string Namespace::describe() const {
  return "<Namespace>";
}

void Namespace::set(const std::string& name, Value value) {
  if (name.starts_with('_')) {
    fail(fmt::format(
        "a namespace can't have the attribute '{}': it begins with an "
        "underscore",
        name));
  }
  attributes[name] = std::move(value);
}

Function::Function(const Builtin& which, Value bound)
    : Object(Type::kObject), builtin(which), self(std::move(bound)) {
  hold(self);
}

std::optional<Value> Function::attribute(const std::string& name) {
  if (builtin.name == "dict" && name == "fromkeys") {
    return Value(std::make_shared<Function>(
        *find_method(Type::kDict, "fromkeys"), Value()));
  }
  return std::nullopt;
}

Value Function::call(Runtime& runtime, Arguments arguments) {
  runtime.spend_on(self);
  return builtin.call(
      runtime,
      self,
      Bound(builtin.name, builtin.signature, std::move(arguments)));
}

std::string Function::describe() const {
  return fmt::format("<built-in function {}>", builtin.name);
}

Runtime::~Runtime() {
  for (auto& space : namespaces_) {
    space->attributes.clear();
  }
}

void Runtime::spend(uint64_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) {
    fail(fmt::format("the template takes more than {} steps", kMaxSteps));
  }
}

void Runtime::spend_on(const Value& value) {
  constexpr uint64_t kValuesPerStep = 16;
  switch (value.type()) {
    case Type::kString:
      return spend(value.text().size() / kBytesPerWeight);
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kView:
      return spend(value.as<Object>().weight / kValuesPerStep);
    default:
      return;
  }
}

std::shared_ptr<Namespace> Runtime::make_namespace() {
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

Next iterate(Runtime& runtime, const Value& value) {
  size_t i = 0;
  switch (value.type()) {
    case Type::kUndefined:
      return []() -> std::optional<Value> { return std::nullopt; };
    case Type::kString:
      return [&runtime, value, i]() mutable -> std::optional<Value> {
        std::string_view rest = std::string_view(value.text()).substr(i);
        if (rest.empty()) {
          return std::nullopt;
        }
        runtime.spend(1);
        size_t length = unicode::first_character(rest).length;
        i += length;
        return Value(std::string(rest.substr(0, length)));
      };
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kRange:
    case Type::kView:
      return [&runtime, value, i]() mutable -> std::optional<Value> {
        if (i >= static_cast<size_t>(*length_of(value))) {
          return std::nullopt;
        }
        runtime.spend(1);
        return element(value, i++);
      };
    case Type::kIterator:
      return [value] { return value.as<Iterator>().next(); };
    default:
      fail(fmt::format("'{}' object is not iterable", value.type_name()));
  }
}

bool is_iterable(const Value& value) {
  switch (value.type()) {
    case Type::kNone:
    case Type::kBool:
    case Type::kInteger:
    case Type::kFloat:
    case Type::kObject:
      return false;
    default:
      return true;
  }
}

std::vector<Value> to_vector(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  Next next = iterate(runtime, value);
  while (auto item = next()) {
    items.push_back(std::move(*item));
    check_weight(items.size());
  }
  return items;
}

Next iterate_back(Runtime& runtime, const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
      return iterate(runtime, value);
    case Type::kString:
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kRange:
    case Type::kView: {
      auto items = to_vector(runtime, value);
      size_t left = items.size();
      return
          [items = std::move(items), left]() mutable -> std::optional<Value> {
            return left == 0 ? std::nullopt : std::optional(items[--left]);
          };
    }
    default:
      fail(fmt::format("'{}' object is not reversible", value.type_name()));
  }
}

} // namespace accrue::jinja
