// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode_case.h"

namespace accrue::jinja {
namespace {

Value get_length(Runtime&, const Value& self, const Bound&) {
  auto length = length_of(self);
  if (!length) {
    fail(fmt::format("object of type '{}' has no len()", self.type_name()));
  }
  return *length;
}

Value get_default(Runtime&, const Value& self, const Bound& arguments) {
  bool absent =
      self.is_undefined() || (arguments.truth(1, false) && !self.truth());
  return absent ? arguments.get(0, "") : self;
}

Value get_first(Runtime& runtime, const Value& self, const Bound&) {
  auto item = iterate(runtime, self)();
  return item ? *item : Value::undefined("No first item, sequence was empty.");
}

Value get_last(Runtime& runtime, const Value& self, const Bound&) {
  auto item = iterate_back(runtime, self)();
  return item ? *item : Value::undefined("No last item, sequence was empty.");
}

Value reverse(Runtime& runtime, const Value& self, const Bound&) {
  if (self.is_string()) {
    std::u32string codes = decode(self.text());
    std::reverse(codes.begin(), codes.end());
    return encode(codes);
  }
  if (self.is(Type::kIterator)) {
    auto items = to_vector(runtime, self);
    std::reverse(items.begin(), items.end());
    return make_list(std::move(items));
  }
  return std::make_shared<Iterator>(
      std::vector{self}, iterate_back(runtime, self));
}

Value to_list(Runtime& runtime, const Value& self, const Bound&) {
  return make_list(to_vector(runtime, self));
}

Value list_items(Runtime& runtime, const Value& self, const Bound&) {
  Next next =
      [&runtime, self, source = Next()]() mutable -> std::optional<Value> {
    if (self.is_undefined()) {
      return std::nullopt;
    }
    if (!self.is(Type::kDict)) {
      fail("items: can only get item pairs from a mapping");
    }
    if (!source) {
      source = iterate(
          runtime,
          std::make_shared<View>(self.share<Dict>(), View::Part::kItems));
    }
    return source();
  };
  return std::make_shared<Iterator>(std::vector{self}, std::move(next));
}

Value make_batches(Runtime& runtime, const Value& self, const Bound& given) {
  const Value size = given[0];
  const Value fill = given.get(1, Value());
  Next next = [&runtime,
               self,
               size,
               fill,
               source = Next(),
               batch = std::vector<Value>()]() mutable -> std::optional<Value> {
    if (!source) {
      source = iterate(runtime, self);
    }
    while (auto item = source()) {
      bool full = equal(static_cast<int64_t>(batch.size()), size);
      std::vector<Value> ready =
          full ? std::exchange(batch, {}) : std::vector<Value>();
      batch.push_back(std::move(*item));
      if (full) {
        return make_list(std::move(ready));
      }
    }
    if (batch.empty()) {
      return std::nullopt;
    }
    if (!fill.is_none() && less(static_cast<int64_t>(batch.size()), size)) {
      if (!size.is_integral()) {
        fail("batch: the size must be an integer");
      }
      while (static_cast<int64_t>(batch.size()) < size.integer()) {
        runtime.spend(1);
        batch.push_back(fill);
      }
    }
    return make_list(std::exchange(batch, {}));
  };
  return std::make_shared<Iterator>(
      std::vector{self, size, fill}, std::move(next));
}

Value make_slices(Runtime& runtime, const Value& self, const Bound& given) {
  const Value slices = given[0];
  const Value fill = given.get(1, Value());
  struct State {
    std::vector<Value> items;
    int64_t count = -1; // of slices; -1 before the first
    int64_t i = 0;
    size_t begin = 0;
  };
  Next next = [&runtime, self, slices, fill, state = State()]() mutable
      -> std::optional<Value> {
    if (state.count < 0) {
      state.items = to_vector(runtime, self);
      if (!slices.is_integral() || slices.integer() == 0) {
        fail("slice: the number of slices must be an integer other than 0");
      }
      state.count = std::max<int64_t>(0, slices.integer());
    }
    if (state.i == state.count) {
      return std::nullopt;
    }
    runtime.spend(1);
    auto size = static_cast<int64_t>(state.items.size());
    bool longer = state.i++ < size % state.count;
    auto length = static_cast<size_t>(size / state.count + (longer ? 1 : 0));
    auto begin = state.items.begin() + static_cast<std::ptrdiff_t>(state.begin);
    std::vector<Value> part(begin, begin + static_cast<std::ptrdiff_t>(length));
    state.begin += length;
    if (!longer && !fill.is_none()) {
      part.push_back(fill);
    }
    return make_list(std::move(part));
  };
  return std::make_shared<Iterator>(
      std::vector{self, slices, fill}, std::move(next));
}

Value sort_entries(Runtime&, const Value& self, const Bound& arguments) {
  if (!self.is(Type::kDict)) {
    // Fails with Jinja's message if the value is undefined.
    get_attribute(self, "items");
    fail(fmt::format("dictsort: needs a mapping, not '{}'", self.type_name()));
  }
  const bool case_sensitive = arguments.truth(0, false);
  const std::string by = arguments.has(1) ? arguments.text(1) : "key";
  const bool backwards = arguments.integer(2, 0) != 0;
  if (by != "key" && by != "value") {
    fail("dictsort: sorts by either \"key\" or \"value\"");
  }
  auto key = [&](const std::pair<Value, Value>& entry) {
    const Value& value = by == "key" ? entry.first : entry.second;
    return case_sensitive ? value : ignore_case(value);
  };
  auto entries = self.as<Dict>().entries();
  std::stable_sort(
      entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
        return backwards ? less(key(b), key(a)) : less(key(a), key(b));
      });
  std::vector<Value> pairs;
  pairs.reserve(entries.size());
  for (const auto& [name, value] : entries) {
    pairs.push_back(make_tuple({name, value}));
  }
  return make_list(std::move(pairs));
}

Value get_attribute_only(Runtime&, const Value& self, const Bound& arguments) {
  auto attribute = find_attribute(self, arguments.text(0));
  return attribute ? *attribute : make_undefined(self, arguments[0]);
}

constexpr Builtin kItemFilters[] = {
    {"attr", "name", get_attribute_only},
    {"batch", "linecount fill_with?", make_batches},
    {"count", "", get_length},
    {"d", "default_value? boolean?", get_default},
    {"default", "default_value? boolean?", get_default},
    {"dictsort", "case_sensitive? by? reverse?", sort_entries},
    {"first", "", get_first},
    {"items", "", list_items},
    {"last", "", get_last},
    {"length", "", get_length},
    {"list", "", to_list},
    {"reverse", "", reverse},
    {"slice", "slices fill_with?", make_slices},
};

} // namespace

std::span<const Builtin> item_filters() {
  return kItemFilters;
}

Value ignore_case(const Value& value) {
  return value.is_string() ? Value(unicode::lower_case_of_words(value.text()))
                           : value;
}

} // namespace accrue::jinja
