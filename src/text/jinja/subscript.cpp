// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {
namespace {

/// Describes a value for messages: "dict object".
std::string name_object(const Value& value) {
  return value.is_none() ? "None" : value.type_name() + " object";
}

void check_defined(const Value& object) {
  if (object.is_undefined()) {
    fail(object.as<Undefined>().message);
  }
}

/// Returns true for methods that change their object. The sandbox forbids them.
bool changes_object(Type type, const std::string& name) {
  static constexpr std::string_view kOfLists[] = {
      "append",
      "clear",
      "pop",
      "reverse",
      "insert",
      "sort",
      "extend",
      "remove"};
  static constexpr std::string_view kOfDicts[] = {
      "clear", "pop", "popitem", "setdefault", "update"};
  return (type == Type::kList &&
          std::find(std::begin(kOfLists), std::end(kOfLists), name) !=
              std::end(kOfLists)) ||
      (type == Type::kDict &&
       std::find(std::begin(kOfDicts), std::end(kOfDicts), name) !=
           std::end(kOfDicts));
}

bool is_hashable(const Value& key) {
  switch (key.type()) {
    case Type::kList:
    case Type::kDict:
    case Type::kView:
      return false;
    case Type::kTuple:
      return std::all_of(key.items().begin(), key.items().end(), is_hashable);
    default:
      return true;
  }
}

std::optional<Value> find_item(const Value& object, const Value& key) {
  switch (object.type()) {
    case Type::kDict: {
      const Value* item =
          is_hashable(key) ? object.as<Dict>().find(key) : nullptr;
      return item != nullptr ? std::optional(*item) : std::nullopt;
    }
    case Type::kString:
    case Type::kList:
    case Type::kTuple:
    case Type::kRange: {
      if (!key.is_integral()) {
        return std::nullopt;
      }
      int64_t length = *length_of(object);
      int64_t i = key.integer();
      if (i < -length || i >= length) {
        return std::nullopt;
      }
      auto index = static_cast<size_t>(i < 0 ? i + length : i);
      return object.is_string() ? character_at(object.text(), index)
                                : element(object, index);
    }
    default:
      return std::nullopt;
  }
}

/// Indices of a slice.
struct Indices {
  int64_t start;
  int64_t stop;
  int64_t step;
  int64_t count;
};

int64_t clamp_bound(
    const Value& bound,
    int64_t fallback,
    int64_t length,
    bool backwards) {
  if (bound.is_none()) {
    return fallback;
  }
  if (!bound.is_integral()) {
    fail("bounds of a slice must be integers or none");
  }
  int64_t i = bound.integer();
  if (i < 0) {
    i += length; // can't overflow: the signs differ
  }
  return backwards ? std::clamp<int64_t>(i, -1, length - 1)
                   : std::clamp<int64_t>(i, 0, length);
}

Indices find_indices(
    int64_t length,
    const Value& start,
    const Value& stop,
    const Value& stride) {
  int64_t step = 1;
  if (!stride.is_none()) {
    if (!stride.is_integral()) {
      fail("the step of a slice must be an integer or none");
    }
    step = std::max(stride.integer(), -INT64_MAX); // can be negated
  }
  if (step == 0) {
    fail("the step of a slice can't be zero");
  }
  bool backwards = step < 0;
  int64_t first =
      clamp_bound(start, backwards ? length - 1 : 0, length, backwards);
  int64_t end = clamp_bound(stop, backwards ? -1 : length, length, backwards);
  int64_t distance = backwards ? first - end : end - first;
  int64_t size = backwards ? -step : step;
  return {first, end, step, distance <= 0 ? 0 : (distance - 1) / size + 1};
}

Value slice_range(const Range& range, const Indices& indices) {
  auto at = [&](int64_t i) {
    return add(range.start,
               calculate(Binary::Operation::kMultiply, i, range.step))
        .integer();
  };
  Value step =
      calculate(Binary::Operation::kMultiply, range.step, indices.step);
  return std::make_shared<Range>(
      at(indices.start), at(indices.stop), step.integer());
}

} // namespace

std::optional<int64_t> length_of(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
      return 0;
    case Type::kString:
      return static_cast<int64_t>(count_characters(value.text()));
    case Type::kList:
    case Type::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Type::kDict:
      return static_cast<int64_t>(value.as<Dict>().entries().size());
    case Type::kRange:
      return value.as<Range>().length;
    case Type::kView:
      return static_cast<int64_t>(value.as<View>().dict->entries().size());
    case Type::kObject:
      return value.as<Object>().length();
    default:
      return std::nullopt;
  }
}

Value element(const Value& value, size_t index) {
  switch (value.type()) {
    case Type::kDict:
      return value.as<Dict>().entries()[index].first;
    case Type::kRange:
      return value.as<Range>().at(static_cast<int64_t>(index));
    case Type::kView:
      return value.as<View>().at(index);
    default:
      return value.items()[index];
  }
}

Value make_undefined(const Value& object, const Value& key) {
  return Value::undefined(
      key.is_string()
          ? fmt::format(
                "'{}' has no attribute {}", name_object(object), repr(key))
          : fmt::format(
                "{} has no element {}", name_object(object), repr(key)));
}

std::optional<Value> find_attribute(
    const Value& object,
    const std::string& name) {
  check_defined(object);
  if (changes_object(object.type(), name)) {
    return Value::undefined(fmt::format(
        "access to attribute {} of '{}' object is unsafe: it would change "
        "what the template was given",
        repr(name),
        object.type_name()));
  }
  if (const Builtin* method = find_method(object.type(), name)) {
    return Value(std::make_shared<Function>(*method, object));
  }
  switch (object.type()) {
    case Type::kNone:
    case Type::kBool:
    case Type::kInteger:
    case Type::kFloat:
    case Type::kString:
      return std::nullopt;
    default:
      return object.as<Object>().attribute(name);
  }
}

Value get_attribute(const Value& object, const std::string& name) {
  if (auto value = find_attribute(object, name)) {
    return *value;
  }
  auto item = find_item(object, name);
  return item ? *item : make_undefined(object, name);
}

Value get_item(const Value& object, const Value& key) {
  check_defined(object);
  if (auto item = find_item(object, key)) {
    return *item;
  }
  if (key.is_string()) {
    if (auto value = find_attribute(object, key.text())) {
      return *value;
    }
  }
  return make_undefined(object, key);
}

Value slice(
    const Value& object,
    const Value& start,
    const Value& stop,
    const Value& step) {
  check_defined(object);
  if (!object.is_string() && !object.is(Type::kList) &&
      !object.is(Type::kTuple) && !object.is(Type::kRange)) {
    fail(fmt::format("a '{}' has no slices", object.type_name()));
  }
  Indices indices = find_indices(*length_of(object), start, stop, step);
  auto at = [&](int64_t i) {
    return static_cast<size_t>(indices.start + i * indices.step);
  };
  if (object.is(Type::kRange)) {
    return slice_range(object.as<Range>(), indices);
  }
  if (object.is_string()) {
    if (indices.step == 1) {
      return std::string(
          characters(object.text(), at(0), at(0) + indices.count));
    }
    std::u32string codes = decode(object.text());
    std::u32string picked;
    for (int64_t i = 0; i < indices.count; ++i) {
      picked += codes[at(i)];
    }
    return encode(picked);
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(indices.count));
  for (int64_t i = 0; i < indices.count; ++i) {
    items.push_back(object.items()[at(i)]);
  }
  return std::make_shared<Sequence>(object.type(), std::move(items));
}

} // namespace accrue::jinja
