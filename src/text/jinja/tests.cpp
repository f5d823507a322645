// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {
namespace {

using Operation = Comparison::Operation;

template <Operation operation>
Value test_order(Runtime& runtime, const Value& self, const Bound& arguments) {
  return compare(runtime, operation, self, arguments[0]);
}

template <Type type>
Value test_type(Runtime&, const Value& self, const Bound&) {
  return self.is(type);
}

template <bool wanted>
Value test_bool(Runtime&, const Value& self, const Bound&) {
  return self.is(Type::kBool) && self.truth() == wanted;
}

Value remainder(const Value& value, const Value& by) {
  return calculate(Binary::Operation::kModulo, value, by);
}

Value test_callable(Runtime&, const Value& self, const Bound&) {
  return self.is_undefined() ||
      (self.is(Type::kObject) && self.as<Object>().is_callable());
}

Value test_sequence(Runtime&, const Value& self, const Bound&) {
  switch (self.type()) {
    case Type::kUndefined:
    case Type::kString:
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kRange:
      return true;
    default:
      return false;
  }
}

/// Calls a method of str without arguments on the value as text.
Value call_text_method(
    Runtime& runtime,
    const Value& self,
    std::string_view name) {
  const Builtin* method = find_method(Type::kString, name);
  return method->call(runtime, to_text(self), Bound(name, "", {}));
}

constexpr Builtin kTests[] = {
    {"!=", "other", test_order<Operation::kNotEqual>},
    {"<", "other", test_order<Operation::kLess>},
    {"<=", "other", test_order<Operation::kLessEqual>},
    {"==", "other", test_order<Operation::kEqual>},
    {">", "other", test_order<Operation::kGreater>},
    {">=", "other", test_order<Operation::kGreaterEqual>},
    {"boolean", "", test_type<Type::kBool>},
    {"callable", "", test_callable},
    {"defined",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(!self.is_undefined());
     }},
    {"divisibleby",
     "num",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return Value(equal(remainder(self, arguments[0]), 0));
     }},
    {"eq", "other", test_order<Operation::kEqual>},
    {"equalto", "other", test_order<Operation::kEqual>},
    {"escaped",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(self.is_markup());
     }},
    {"even",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(equal(remainder(self, 2), 0));
     }},
    {"false", "", test_bool<false>},
    {"filter",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(self.is_string() && find_filter(self.text()) != nullptr);
     }},
    {"float", "", test_type<Type::kFloat>},
    {"ge", "other", test_order<Operation::kGreaterEqual>},
    {"greaterthan", "other", test_order<Operation::kGreater>},
    {"gt", "other", test_order<Operation::kGreater>},
    {"in", "seq", test_order<Operation::kIn>},
    {"integer", "", test_type<Type::kInteger>},
    {"iterable",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(is_iterable(self));
     }},
    {"le", "other", test_order<Operation::kLessEqual>},
    {"lessthan", "other", test_order<Operation::kLess>},
    {"lower",
     "",
     [](Runtime& runtime, const Value& self, const Bound&) {
       return call_text_method(runtime, self, "islower");
     }},
    {"lt", "other", test_order<Operation::kLess>},
    {"mapping", "", test_type<Type::kDict>},
    {"ne", "other", test_order<Operation::kNotEqual>},
    {"none", "", test_type<Type::kNone>},
    {"number",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(self.is_number());
     }},
    {"odd",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(equal(remainder(self, 2), 1));
     }},
    {"sameas",
     "other",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return Value(self.is_same(arguments[0]));
     }},
    {"sequence", "", test_sequence},
    {"string", "", test_type<Type::kString>},
    {"test",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(self.is_string() && find_test(self.text()) != nullptr);
     }},
    {"true", "", test_bool<true>},
    {"undefined", "", test_type<Type::kUndefined>},
    {"upper",
     "",
     [](Runtime& runtime, const Value& self, const Bound&) {
       return call_text_method(runtime, self, "isupper");
     }},
};

} // namespace

std::span<const Builtin> tests() {
  return kTests;
}

} // namespace accrue::jinja
