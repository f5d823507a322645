// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {
namespace {

using Function1 = std::function<Value(const Value&)>;

/// Returns a function that looks up an attribute such as "a.b.0" in its
/// argument. With None it returns the argument itself.
Function1 make_getter(const Value& attribute, Value fallback = Value()) {
  std::vector<Value> path;
  if (attribute.is_string()) {
    for (std::string_view part : split_at(attribute.text(), ".", -1, false)) {
      bool digits = !part.empty() &&
          part.find_first_not_of("0123456789") == std::string_view::npos;
      path.push_back(
          digits ? Value(parse_integer(part, 10).value())
                 : Value(std::string(part)));
    }
  } else if (!attribute.is_none()) {
    path.push_back(attribute);
  }
  return [path, fallback](const Value& item) {
    Value value = item;
    for (const Value& part : path) {
      value = get_item(value, part);
      if (value.is_undefined() && !fallback.is_none()) {
        value = fallback;
      }
    }
    return value;
  };
}

/// Returns a getter that turns texts into lower case unless `case_sensitive`.
Function1 make_key(
    const Value& attribute,
    bool case_sensitive,
    Value fallback = Value()) {
  Function1 get = make_getter(attribute, std::move(fallback));
  if (case_sensitive) {
    return get;
  }
  return [get](const Value& item) { return ignore_case(get(item)); };
}

/// Returns a getter of "a,b" that makes a list of both attributes.
Function1 make_keys(const Value& attributes, bool case_sensitive) {
  std::vector<Function1> keys;
  if (attributes.is_string()) {
    for (std::string_view one : split_at(attributes.text(), ",", -1, false)) {
      keys.push_back(make_key(std::string(one), case_sensitive));
    }
  } else {
    keys.push_back(make_key(attributes, case_sensitive));
  }
  return [keys](const Value& item) {
    std::vector<Value> values;
    values.reserve(keys.size());
    for (const Function1& key : keys) {
      values.push_back(key(item));
    }
    return make_list(std::move(values));
  };
}

/// Returns keys and items, sorted by key.
std::vector<std::pair<Value, Value>> sort_by(
    Runtime& runtime,
    const Value& values,
    const Function1& key,
    bool backwards = false) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : to_vector(runtime, values)) {
    Value made = key(item);
    keyed.emplace_back(std::move(made), std::move(item));
  }
  std::stable_sort(
      keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
        runtime.spend(1);
        return backwards ? less(b.first, a.first) : less(a.first, b.first);
      });
  return keyed;
}

Value sort(Runtime& runtime, const Value& self, const Bound& arguments) {
  auto keyed = sort_by(
      runtime,
      self,
      make_keys(arguments.get(2, Value()), arguments.truth(1, false)),
      arguments.integer(0, 0) != 0);
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (auto& [key, item] : keyed) {
    items.push_back(std::move(item));
  }
  return make_list(std::move(items));
}

Value group(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Value attribute = arguments[0];
  const Value fallback = arguments.get(1, Value());
  auto keyed = sort_by(
      runtime, self, make_key(attribute, arguments.truth(2, false), fallback));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < keyed.size();) {
    size_t end = begin;
    std::vector<Value> members;
    while (end < keyed.size() && equal(keyed[begin].first, keyed[end].first)) {
      members.push_back(keyed[end++].second);
    }
    if (end == begin) { // NaN is not equal to itself
      members.push_back(keyed[end++].second);
    }
    // A group is named after its first member, in the original case.
    Value name = make_getter(attribute, fallback)(members[0]);
    auto made = std::make_shared<Sequence>(
        Type::kTuple, std::vector<Value>{name, make_list(std::move(members))});
    made->is_group = true;
    groups.emplace_back(made);
    begin = end;
  }
  return make_list(std::move(groups));
}

Value unique(Runtime& runtime, const Value& self, const Bound& arguments) {
  Function1 key =
      make_key(arguments.get(1, Value()), arguments.truth(0, false));
  Next next = [&runtime,
               self,
               key,
               seen = std::make_shared<Dict>(),
               source = Next()]() mutable -> std::optional<Value> {
    if (!source) {
      source = iterate(runtime, self);
    }
    while (auto item = source()) {
      Value name = key(*item);
      if (seen->find(name) == nullptr) {
        seen->set(name, true);
        return item;
      }
    }
    return std::nullopt;
  };
  return std::make_shared<Iterator>(
      std::vector{self, arguments.get(1, Value())}, std::move(next));
}

Value find_extreme(
    Runtime& runtime,
    const Value& self,
    const Bound& arguments,
    bool (*is_better)(const Value& candidate, const Value& best)) {
  Function1 key =
      make_key(arguments.get(1, Value()), arguments.truth(0, false));
  Next next = iterate(runtime, self);
  auto best = next();
  if (!best) {
    return Value::undefined("No aggregated item, sequence was empty.");
  }
  Value best_key = key(*best);
  while (auto item = next()) {
    Value candidate = key(*item);
    if (is_better(candidate, best_key)) {
      best = std::move(item);
      best_key = std::move(candidate);
    }
  }
  return *best;
}

Value find_min(Runtime& runtime, const Value& self, const Bound& arguments) {
  return find_extreme(runtime, self, arguments, less);
}

Value find_max(Runtime& runtime, const Value& self, const Bound& arguments) {
  return find_extreme(
      runtime, self, arguments, [](const Value& candidate, const Value& best) {
        return less(best, candidate);
      });
}

Value sum(Runtime& runtime, const Value& self, const Bound& arguments) {
  Function1 get = make_getter(arguments.get(0, Value()));
  Value total = arguments.get(1, 0);
  if (total.is_string()) {
    fail("sum: can't sum strings, use join");
  }
  Next next = iterate(runtime, self);
  while (auto item = next()) {
    total = add(total, get(*item));
    runtime.spend_on(total);
  }
  return total;
}

Value join(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string separator = to_text(arguments.get(0, ""));
  Function1 get = make_getter(arguments.get(1, Value()));
  std::string text;
  Next next = iterate(runtime, self);
  for (bool first = true; auto item = next(); first = false) {
    text += first ? "" : separator;
    text += to_text(get(*item));
    check_length(text.size());
  }
  return text;
}

/// Returns the filter or test `name` with further arguments.
Function1 make_call(
    Runtime& runtime,
    const char* kind,
    const Builtin* (*find)(std::string_view),
    const Value& name,
    Arguments arguments) {
  const Builtin* builtin = name.is_string() ? find(name.text()) : nullptr;
  if (builtin == nullptr) {
    fail(fmt::format("there is no {} {}", kind, repr(name)));
  }
  return [&runtime, builtin, arguments](const Value& item) {
    return builtin->call(
        runtime, item, Bound(builtin->name, builtin->signature, arguments));
  };
}

Arguments without_first(Arguments arguments, size_t count) {
  arguments.positional.erase(
      arguments.positional.begin(),
      arguments.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return arguments;
}

Function1 make_mapping(Runtime& runtime, const Arguments& given) {
  if (!given.positional.empty()) {
    return make_call(
        runtime,
        "filter",
        find_filter,
        given.positional[0],
        without_first(given, 1));
  }
  std::optional<Value> attribute;
  Value fallback;
  for (const auto& [name, value] : given.named) {
    if (name == "attribute") {
      attribute = value;
    } else if (name == "default") {
      fallback = value;
    } else {
      fail(fmt::format("map: unexpected argument '{}'", name));
    }
  }
  if (!attribute) {
    fail("map: needs the name of a filter, or attribute=");
  }
  return make_getter(*attribute, fallback);
}

/// Returns all values that an iterator of `self` with arguments refers to.
std::vector<Value> sources_of(const Value& self, const Arguments& arguments) {
  std::vector<Value> sources = arguments.positional;
  sources.push_back(self);
  for (const auto& [name, value] : arguments.named) {
    sources.push_back(value);
  }
  return sources;
}

Value map(Runtime& runtime, const Value& self, const Bound& arguments) {
  Next next = [&runtime,
               self,
               given = arguments.rest(),
               source = Next(),
               function = Function1()]() mutable -> std::optional<Value> {
    if (!self.truth()) {
      return std::nullopt;
    }
    if (!source) {
      function = make_mapping(runtime, given);
      source = iterate(runtime, self);
    }
    auto item = source();
    return item ? std::optional(function(*item)) : std::nullopt;
  };
  return std::make_shared<Iterator>(
      sources_of(self, arguments.rest()), std::move(next));
}

/// select and reject; with `of_attribute` selectattr and rejectattr.
template <bool wanted, bool of_attribute>
Value choose(Runtime& runtime, const Value& self, const Bound& arguments) {
  auto make_test = [&runtime](const Arguments& given) {
    constexpr size_t kOffset = of_attribute ? 1 : 0;
    if (given.positional.size() < kOffset) {
      fail("the name of an attribute is missing");
    }
    Function1 get =
        of_attribute ? make_getter(given.positional[0]) : make_getter(Value());
    Function1 test = [](const Value& value) { return value; };
    if (given.positional.size() > kOffset) {
      test = make_call(
          runtime,
          "test",
          find_test,
          given.positional[kOffset],
          without_first(given, kOffset + 1));
    }
    return [get, test](const Value& item) { return test(get(item)); };
  };
  Next next = [self,
               make_test,
               &runtime,
               given = arguments.rest(),
               source = Next(),
               test = Function1()]() mutable -> std::optional<Value> {
    if (!self.truth()) {
      return std::nullopt;
    }
    if (!source) {
      test = make_test(given);
      source = iterate(runtime, self);
    }
    while (auto item = source()) {
      if (test(*item).truth() == wanted) {
        return item;
      }
    }
    return std::nullopt;
  };
  return std::make_shared<Iterator>(
      sources_of(self, arguments.rest()), std::move(next));
}

constexpr Builtin kSelectionFilters[] = {
    {"groupby", "attribute default? case_sensitive?", group},
    {"join", "d? attribute?", join},
    {"map", "*", map},
    {"max", "case_sensitive? attribute?", find_max},
    {"min", "case_sensitive? attribute?", find_min},
    {"reject", "*", choose<false, false>},
    {"rejectattr", "*", choose<false, true>},
    {"select", "*", choose<true, false>},
    {"selectattr", "*", choose<true, true>},
    {"sort", "reverse? case_sensitive? attribute?", sort},
    {"sum", "attribute? start?", sum},
    {"unique", "case_sensitive? attribute?", unique},
};

} // namespace

std::span<const Builtin> selection_filters() {
  return kSelectionFilters;
}

} // namespace accrue::jinja
