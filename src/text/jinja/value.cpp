// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/value.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

Value convert(const io::OrderedJson& json, int depth) {
  if (depth > kMaxDepth) {
    fail(fmt::format("lists within lists beyond {} levels", kMaxDepth));
  }
  switch (json.type()) {
    case io::OrderedJson::value_t::boolean:
      return json.get<bool>();
    case io::OrderedJson::value_t::number_integer:
      return json.get<int64_t>();
    case io::OrderedJson::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) {
        fail(fmt::format("the integer {} is beyond 64 bits", json.dump()));
      }
      return json.get<int64_t>();
    case io::OrderedJson::value_t::number_float:
      return json.get<double>();
    case io::OrderedJson::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      if (unicode::find_invalid(text) != std::string::npos) {
        fail("a string is not valid UTF-8");
      }
      return text;
    }
    case io::OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) {
        items.push_back(convert(item, depth + 1));
      }
      return make_list(std::move(items));
    }
    case io::OrderedJson::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, item] : json.items()) {
        dict->set(key, convert(item, depth + 1));
      }
      return dict;
    }
    default:
      return {};
  }
}

} // namespace

void fail(const std::string& message) {
  throw Failure(message);
}

std::optional<Value> Object::attribute(const std::string&) {
  return std::nullopt;
}

Value Object::call(Runtime&, Arguments) {
  fail(fmt::format("'{}' object is not callable", type_name()));
}

std::string Object::describe() const {
  return "<" + type_name() + " object>";
}

void Object::hold(const Value& value) {
  int held_depth = 0;
  uint64_t held_weight = 1;
  if (value.is_string()) {
    held_weight += value.text().size() / kBytesPerWeight;
  }
  if (const auto* object = std::get_if<std::shared_ptr<Object>>(&value.data_)) {
    held_depth = (*object)->depth;
    held_weight = (*object)->weight;
  }
  depth = std::max(depth, held_depth + 1);
  weight += held_weight;
  if (depth > kMaxDepth) {
    fail(fmt::format("lists within lists beyond {} levels", kMaxDepth));
  }
  check_weight(weight);
}

void check_weight(uint64_t weight) {
  if (weight > kMaxWeight) {
    fail(fmt::format(
        "a list of more than {} values, texts counted by {} bytes",
        kMaxWeight,
        kBytesPerWeight));
  }
}

Value::Value(std::string text) {
  if (text.size() > kMaxTextBytes) {
    fail(fmt::format("a text of more than {} MiB", kMaxTextBytes >> 20));
  }
  data_ = std::make_shared<const Text>(Text{std::move(text)});
}

Value Value::undefined(std::string message) {
  return std::make_shared<Undefined>(std::move(message));
}

Value Value::markup(std::string text) {
  Value value(std::move(text)); // checks the length
  value.data_ = std::make_shared<const Text>(Text{value.text(), true});
  return value;
}

Value Value::from_json(const io::OrderedJson& json) {
  return convert(json, 1);
}

Type Value::type() const {
  switch (data_.index()) {
    case 0:
      return Type::kNone;
    case 1:
      return Type::kBool;
    case 2:
      return Type::kInteger;
    case 3:
      return Type::kFloat;
    case 4:
      return Type::kString;
    default:
      return std::get<std::shared_ptr<Object>>(data_)->type;
  }
}

bool Value::is_markup() const {
  return is_string() && std::get<std::shared_ptr<const Text>>(data_)->markup;
}

int64_t Value::integer() const {
  return is(Type::kBool) ? std::get<bool>(data_) : std::get<int64_t>(data_);
}

double Value::number() const {
  return is(Type::kFloat) ? std::get<double>(data_)
                          : static_cast<double>(integer());
}

const std::string& Value::text() const {
  return std::get<std::shared_ptr<const Text>>(data_)->text;
}

const std::vector<Value>& Value::items() const {
  return as<Sequence>().items;
}

bool Value::truth() const {
  switch (type()) {
    case Type::kUndefined:
    case Type::kNone:
      return false;
    case Type::kBool:
    case Type::kInteger:
      return integer() != 0;
    case Type::kFloat:
      return number() != 0;
    case Type::kString:
      return !text().empty();
    case Type::kIterator:
      return true;
    default:
      return length_of(*this).value_or(1) != 0;
  }
}

std::string Value::type_name() const {
  switch (type()) {
    case Type::kNone:
      return "NoneType";
    case Type::kBool:
      return "bool";
    case Type::kInteger:
      return "int";
    case Type::kFloat:
      return "float";
    case Type::kString:
      return "str";
    default:
      return as<Object>().type_name();
  }
}

bool Value::is_same(const Value& other) const {
  if (type() != other.type()) {
    return false;
  }
  const auto* object = std::get_if<std::shared_ptr<Object>>(&data_);
  return object ? *object == std::get<std::shared_ptr<Object>>(other.data_)
                : equal(*this, other);
}

} // namespace accrue::jinja
