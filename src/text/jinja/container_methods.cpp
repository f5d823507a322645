// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace accrue::jinja {
namespace {

Value find_index(Runtime& runtime, const Value& self, const Bound& arguments) {
  const int64_t length = *length_of(self);
  auto bound = [&](size_t i, int64_t fallback) {
    int64_t index = arguments.integer(i, fallback);
    return std::max<int64_t>(0, index < 0 ? index + length : index);
  };
  const int64_t end = std::min(bound(2, length), length);
  for (int64_t i = bound(1, 0); i < end; ++i) {
    runtime.spend(1);
    Value item = element(self, static_cast<size_t>(i));
    if (item.is_same(arguments[0]) || equal(item, arguments[0])) {
      return i;
    }
  }
  fail(fmt::format("index: {} is not in the list", repr(arguments[0])));
}

Value count_equal(Runtime& runtime, const Value& self, const Bound& arguments) {
  int64_t count = 0;
  Next next = iterate(runtime, self);
  while (auto item = next()) {
    count += item->is_same(arguments[0]) || equal(*item, arguments[0]) ? 1 : 0;
  }
  return count;
}

template <View::Part part>
Value view(Runtime&, const Value& self, const Bound&) {
  return std::make_shared<View>(self.share<Dict>(), part);
}

Value copy_dict(Runtime&, const Value& self, const Bound&) {
  return std::make_shared<Dict>(self.as<Dict>());
}

Value get_or(Runtime&, const Value& self, const Bound& arguments) {
  const Value* value = self.as<Dict>().find(arguments[0]);
  return value != nullptr ? *value : arguments.get(1, Value());
}

Value from_keys(Runtime& runtime, const Value&, const Bound& arguments) {
  auto dict = std::make_shared<Dict>();
  Next next = iterate(runtime, arguments[0]);
  while (auto key = next()) {
    dict->set(*key, arguments.get(1, Value()));
  }
  return dict;
}

constexpr Builtin kTupleMethods[] = {
    {"count", "/ value", count_equal},
    {"index", "/ value start? stop?", find_index},
};

constexpr Builtin kListMethods[] = {
    {"copy",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return make_list(self.items());
     }},
    {"count", "/ value", count_equal},
    {"index", "/ value start? stop?", find_index},
};

constexpr Builtin kDictMethods[] = {
    {"copy", "", copy_dict},
    {"fromkeys", "/ iterable value?", from_keys},
    {"get", "/ key default?", get_or},
    {"items", "", view<View::Part::kItems>},
    {"keys", "", view<View::Part::kKeys>},
    {"values", "", view<View::Part::kValues>},
};

} // namespace

std::span<const Builtin> list_methods() {
  return kListMethods;
}

std::span<const Builtin> tuple_methods() {
  return kTupleMethods;
}

std::span<const Builtin> dict_methods() {
  return kDictMethods;
}

std::shared_ptr<Dict> make_dict(Runtime& runtime, const Bound& arguments) {
  const Arguments& given = arguments.rest();
  auto dict = std::make_shared<Dict>();
  if (given.positional.size() > 1) {
    fail("dict() takes at most one argument without a name");
  }
  if (!given.positional.empty()) {
    const Value& source = given.positional[0];
    if (source.is(Type::kDict)) {
      dict = std::make_shared<Dict>(source.as<Dict>());
    } else {
      Next next = iterate(runtime, source);
      while (auto pair = next()) {
        auto values = to_vector(runtime, *pair);
        if (values.size() != 2) {
          fail("dict() needs pairs of a key and a value");
        }
        dict->set(values[0], values[1]);
      }
    }
  }
  for (const auto& [name, value] : given.named) {
    dict->set(name, value);
  }
  return dict;
}

} // namespace accrue::jinja
