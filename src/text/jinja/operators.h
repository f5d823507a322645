// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/value.h"

// Python's operators.

namespace accrue::jinja {

bool equal(const Value& left, const Value& right);
/// Hash for keys of a dict. Fails for values that can't be keys.
size_t hash(const Value& value);
/// Returns left < right. Fails if they have no order.
bool less(const Value& left, const Value& right);
/// Evaluates one operation of a comparison.
bool compare(
    Runtime& runtime,
    Comparison::Operation operation,
    const Value& left,
    const Value& right);
/// Returns whether item in container.
bool contains(Runtime& runtime, const Value& container, const Value& item);

Value calculate(
    Binary::Operation operation,
    const Value& left,
    const Value& right);
/// Return -value and +value.
Value negate(const Value& value);
Value affirm(const Value& value);
Value add(const Value& left, const Value& right);

/// Python's len(); nullopt for a value without a length. A string has a length
/// in characters.
std::optional<int64_t> length_of(const Value& value);
/// Returns an element of a list, tuple, dict (a key), range or view.
Value element(const Value& value, size_t index);

/// Returns an attribute; items do not count. Fails if `object` is undefined.
std::optional<Value> find_attribute(
    const Value& object,
    const std::string& name);
/// Returns the undefined value for an attribute or item that does not exist.
Value make_undefined(const Value& object, const Value& key);
/// Returns object.name, or object[name] if there is no such attribute.
Value get_attribute(const Value& object, const std::string& name);
/// Returns object[key], or object.key if there is no such item.
Value get_item(const Value& object, const Value& key);
/// Returns object[start:stop:step]; None stands for a bound that is left out.
Value slice(
    const Value& object,
    const Value& start,
    const Value& stop,
    const Value& step);

} // namespace accrue::jinja
