#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/value.h"

// Python's operators.

namespace accrue::jinja {

bool equal(const Value& left, const Value& right);
/// Fails for what can't be a key of a dict.
size_t hash(const Value& value);
/// left < right. Fails if they have no order.
bool less(const Value& left, const Value& right);
/// `operation` in a comparison.
bool compare(
    Runtime& runtime,
    Comparison::Operation operation,
    const Value& left,
    const Value& right);
/// item in container.
bool contains(Runtime& runtime, const Value& container, const Value& item);

Value calculate(
    Binary::Operation operation,
    const Value& left,
    const Value& right);
/// -value, +value.
Value negate(const Value& value);
Value affirm(const Value& value);
Value add(const Value& left, const Value& right);

/// len(); nullopt for what has none. Of a string: characters.
std::optional<int64_t> length_of(const Value& value);
/// Element of a list, tuple, dict (its key), range or view.
Value element(const Value& value, size_t index);

/// An attribute proper. Fails if `object` is undefined.
std::optional<Value> find_attribute(
    const Value& object,
    const std::string& name);
/// Undefined value for an attribute or item that is not there.
Value make_undefined(const Value& object, const Value& key);
/// object.name, and object[name] if it has no such attribute.
Value get_attribute(const Value& object, const std::string& name);
/// object[key], and object.key if it has no such item.
Value get_item(const Value& object, const Value& key);
/// object[start:stop:step], None for what is left out.
Value slice(
    const Value& object,
    const Value& start,
    const Value& stop,
    const Value& step);

} // namespace accrue::jinja
