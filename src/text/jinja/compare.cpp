// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <compare>

#include "text/jinja/objects.h"
#include "text/jinja/operators.h"

namespace accrue::jinja {
namespace {

std::partial_ordering compare_integer(int64_t left, double right) {
  constexpr double kLimit = 9223372036854775808.0; // 2^63
  if (std::isnan(right)) {
    return std::partial_ordering::unordered;
  }
  if (right >= kLimit) {
    return std::partial_ordering::less;
  }
  if (right < -kLimit) {
    return std::partial_ordering::greater;
  }
  double whole = std::trunc(right);
  auto order = left <=> static_cast<int64_t>(whole);
  return order != 0 ? order : 0.0 <=> right - whole;
}

std::partial_ordering compare_numbers(const Value& left, const Value& right) {
  if (left.is_integral()) {
    return right.is_integral()
        ? left.integer() <=> right.integer()
        : compare_integer(left.integer(), right.number());
  }
  return right.is_integral()
      ? 0 <=> compare_integer(right.integer(), left.number())
      : left.number() <=> right.number();
}

bool equal_dicts(const Dict& left, const Dict& right) {
  if (left.entries().size() != right.entries().size()) {
    return false;
  }
  for (const auto& [key, value] : left.entries()) {
    const Value* other = right.find(key);
    if (other == nullptr || !equal(value, *other)) {
      return false;
    }
  }
  return true;
}

bool equal_ranges(const Range& left, const Range& right) {
  return left.length == right.length &&
      (left.length == 0 || left.start == right.start) &&
      (left.length <= 1 || left.step == right.step);
}

bool equal_objects(const Value& left, const Value& right) {
  if (&left.as<Object>() == &right.as<Object>()) {
    return true;
  }
  switch (left.type()) {
    case Type::kUndefined:
      return true;
    case Type::kList:
    case Type::kTuple:
      return left.items().size() == right.items().size() &&
          std::equal(
                 left.items().begin(),
                 left.items().end(),
                 right.items().begin(),
                 equal);
    case Type::kDict:
      return equal_dicts(left.as<Dict>(), right.as<Dict>());
    case Type::kRange:
      return equal_ranges(left.as<Range>(), right.as<Range>());
    case Type::kView: {
      const auto& a = left.as<View>();
      const auto& b = right.as<View>();
      if (a.part != b.part || a.part == View::Part::kValues) {
        return false;
      }
      return a.part == View::Part::kItems
          ? equal_dicts(*a.dict, *b.dict)
          : a.dict->entries().size() == b.dict->entries().size() &&
              std::all_of(
                  a.dict->entries().begin(),
                  a.dict->entries().end(),
                  [&](const auto& entry) { return b.dict->find(entry.first); });
    }
    default:
      return false;
  }
}

/// Compares `left` with `right`. Fails if they have no order.
std::partial_ordering order(
    const Value& left,
    const Value& right,
    std::string_view sign) {
  if (left.is_undefined() || right.is_undefined()) {
    fail((left.is_undefined() ? left : right).as<Undefined>().message);
  }
  if (left.is_number() && right.is_number()) {
    return compare_numbers(left, right);
  }
  if (left.is_string() && right.is_string()) {
    return left.text() <=> right.text(); // UTF-8 sorts as code points do
  }
  if (left.type() == right.type() &&
      (left.is(Type::kList) || left.is(Type::kTuple))) {
    const auto& a = left.items();
    const auto& b = right.items();
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!a[i].is_same(b[i]) && !equal(a[i], b[i])) {
        return order(a[i], b[i], sign);
      }
    }
    return a.size() <=> b.size();
  }
  fail(fmt::format(
      "'{}' not supported between instances of '{}' and '{}'",
      sign,
      left.type_name(),
      right.type_name()));
}

bool has_member(Runtime& runtime, const Value& container, const Value& item) {
  Next next = iterate(runtime, container);
  while (auto member = next()) {
    if (member->is_same(item) || equal(*member, item)) {
      return true;
    }
  }
  return false;
}

} // namespace

bool equal(const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    return compare_numbers(left, right) == 0;
  }
  if (left.type() != right.type()) {
    return false;
  }
  switch (left.type()) {
    case Type::kNone:
      return true;
    case Type::kString:
      return left.text() == right.text();
    default:
      return equal_objects(left, right);
  }
}

size_t hash(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
      return 1;
    case Type::kNone:
      return 2;
    case Type::kBool:
    case Type::kInteger:
      return std::hash<int64_t>()(value.integer());
    case Type::kFloat:
      // Equal numbers have equal hashes.
      return std::fabs(value.number()) < 1e18 &&
              std::trunc(value.number()) == value.number()
          ? std::hash<int64_t>()(static_cast<int64_t>(value.number()))
          : std::hash<double>()(value.number());
    case Type::kString:
      return std::hash<std::string>()(value.text());
    case Type::kTuple: {
      size_t all = 3;
      for (const Value& item : value.items()) {
        all = all * 1'000'003 ^ hash(item);
      }
      return all;
    }
    case Type::kRange:
      return static_cast<size_t>(value.as<Range>().length);
    case Type::kIterator:
    case Type::kObject:
      return std::hash<const void*>()(&value.as<Object>());
    default:
      fail(fmt::format("unhashable type: '{}'", value.type_name()));
  }
}

bool less(const Value& left, const Value& right) {
  return order(left, right, "<") < 0;
}

bool compare(
    Runtime& runtime,
    Comparison::Operation operation,
    const Value& left,
    const Value& right) {
  using Operation = Comparison::Operation;
  switch (operation) {
    case Operation::kEqual:
      return equal(left, right);
    case Operation::kNotEqual:
      return !equal(left, right);
    case Operation::kLess:
      return order(left, right, "<") < 0;
    case Operation::kLessEqual:
      return order(left, right, "<=") <= 0;
    case Operation::kGreater:
      return order(left, right, ">") > 0;
    case Operation::kGreaterEqual:
      return order(left, right, ">=") >= 0;
    case Operation::kIn:
      return contains(runtime, right, left);
    case Operation::kNotIn:
      return !contains(runtime, right, left);
  }
  return false; // not reached
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.type()) {
    case Type::kString:
      if (!item.is_string()) {
        fail(fmt::format(
            "'in <string>' requires a string on the left, not '{}'",
            item.type_name()));
      }
      return container.text().find(item.text()) != std::string::npos;
    case Type::kDict:
      return container.as<Dict>().find(item) != nullptr;
    case Type::kView:
      if (container.as<View>().part == View::Part::kKeys) {
        return container.as<View>().dict->find(item) != nullptr;
      }
      return has_member(runtime, container, item);
    default:
      if (!is_iterable(container)) {
        fail(fmt::format(
            "argument of type '{}' is not iterable", container.type_name()));
      }
      return has_member(runtime, container, item);
  }
}

} // namespace accrue::jinja
