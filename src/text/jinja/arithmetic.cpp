// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "text/jinja/format.h"
#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {
namespace {

using Operation = Binary::Operation;

constexpr const char* kOverflow = "an integer beyond 64 bits";

[[noreturn]] void fail_operands(
    const char* sign,
    const Value& left,
    const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (value->is_undefined()) {
      fail(value->as<Undefined>().message);
    }
  }
  fail(fmt::format(
      "unsupported operand types for {}: '{}' and '{}'",
      sign,
      left.type_name(),
      right.type_name()));
}

Value raise(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (true) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      fail(kOverflow);
    }
    exponent >>= 1;
    if (exponent == 0) {
      return result;
    }
    if (__builtin_mul_overflow(base, base, &base)) {
      fail(kOverflow);
    }
  }
}

Value raise_float(double base, double exponent) {
  if (base == 0 && exponent < 0) {
    fail("0 can't be raised to a negative power");
  }
  if (base < 0 && std::isfinite(exponent) && std::isfinite(base) &&
      std::trunc(exponent) != exponent) {
    fail("a negative number can't be raised to a fraction: complex numbers");
  }
  double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) {
    fail("a number beyond what floats hold");
  }
  return result;
}

/// Quotient and remainder of a division rounded towards minus infinity:
/// Python's // and %.
struct Division {
  int64_t quotient;
  int64_t remainder;
};

Division divide_down(int64_t left, int64_t right) {
  if (right == 0) {
    fail("division by zero");
  }
  if (right == -1) { // INT64_MIN / -1 traps
    int64_t quotient = 0;
    if (__builtin_sub_overflow(int64_t{0}, left, &quotient)) {
      fail(kOverflow);
    }
    return {quotient, 0};
  }
  Division result{left / right, left % right};
  if (result.remainder != 0 && (result.remainder < 0) != (right < 0)) {
    --result.quotient;
    result.remainder += right;
  }
  return result;
}

/// Remainder as in CPython's float_divmod.
double float_modulo(double left, double right) {
  double mod = std::fmod(left, right);
  if (mod == 0) {
    return std::copysign(0.0, right);
  }
  return (right < 0) != (mod < 0) ? mod + right : mod;
}

double float_floor_divide(double left, double right) {
  double quotient = (left - float_modulo(left, right)) / right;
  if (quotient == 0) {
    return std::copysign(0.0, left / right);
  }
  double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value calculate_integers(Operation operation, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflow = false;
  switch (operation) {
    case Operation::kAdd:
      overflow = __builtin_add_overflow(left, right, &result);
      break;
    case Operation::kSubtract:
      overflow = __builtin_sub_overflow(left, right, &result);
      break;
    case Operation::kMultiply:
      overflow = __builtin_mul_overflow(left, right, &result);
      break;
    case Operation::kDivide:
      if (right == 0) {
        fail("division by zero");
      }
      return static_cast<double>(
          static_cast<long double>(left) / static_cast<long double>(right));
    case Operation::kFloorDivide:
      return divide_down(left, right).quotient;
    case Operation::kModulo:
      // The remainder exists even where the quotient overflows.
      return right == -1 ? int64_t{0} : divide_down(left, right).remainder;
    case Operation::kPower:
      return right < 0
          ? raise_float(static_cast<double>(left), static_cast<double>(right))
          : raise(left, right);
  }
  if (overflow) {
    fail(kOverflow);
  }
  return result;
}

Value calculate_floats(Operation operation, double left, double right) {
  switch (operation) {
    case Operation::kAdd:
      return left + right;
    case Operation::kSubtract:
      return left - right;
    case Operation::kMultiply:
      return left * right;
    case Operation::kPower:
      return raise_float(left, right);
    default:
      break;
  }
  if (right == 0) {
    fail("division by zero");
  }
  return operation == Operation::kDivide ? left / right
      : operation == Operation::kModulo  ? float_modulo(left, right)
                                         : float_floor_divide(left, right);
}

Value repeat(const Value& value, int64_t count) {
  auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  if (value.is_string()) {
    const std::string& text = value.text();
    if (!text.empty() && times > kMaxTextBytes / text.size()) {
      fail(fmt::format("a text of more than {} MiB", kMaxTextBytes >> 20));
    }
    std::string result;
    result.reserve(text.size() * times);
    for (uint64_t i = 0; i < times && !text.empty(); ++i) {
      result += text;
    }
    return value.is_markup() ? Value::markup(std::move(result))
                             : Value(std::move(result));
  }
  const auto& items = value.items();
  check_weight(
      items.empty() ? 0 : std::min(times, kMaxWeight + 1) * items.size());
  std::vector<Value> result;
  result.reserve(items.size() * times);
  for (uint64_t i = 0; i < times && !items.empty(); ++i) {
    result.insert(result.end(), items.begin(), items.end());
  }
  return std::make_shared<Sequence>(value.type(), std::move(result));
}

bool is_sequence(const Value& value) {
  return value.is_string() || value.is(Type::kList) || value.is(Type::kTuple);
}

} // namespace

Value add(const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    return calculate(Operation::kAdd, left, right);
  }
  if (left.is_string() && right.is_string()) {
    if (!left.is_markup() && !right.is_markup()) {
      return left.text() + right.text();
    }
    // Plain text that is joined with markup is escaped.
    return Value::markup(
        (left.is_markup() ? left.text() : escape_html(left.text())) +
        (right.is_markup() ? right.text() : escape_html(right.text())));
  }
  if (left.type() == right.type() && is_sequence(left)) {
    std::vector<Value> items = left.items();
    items.insert(items.end(), right.items().begin(), right.items().end());
    return std::make_shared<Sequence>(left.type(), std::move(items));
  }
  fail_operands("+", left, right);
}

Value calculate(Operation operation, const Value& left, const Value& right) {
  static constexpr const char* kSigns[] = {"+", "-", "*", "/", "//", "%", "**"};
  if (left.is_integral() && right.is_integral()) {
    return calculate_integers(operation, left.integer(), right.integer());
  }
  if (left.is_number() && right.is_number()) {
    return calculate_floats(operation, left.number(), right.number());
  }
  if (operation == Operation::kAdd) {
    return add(left, right);
  }
  if (operation == Operation::kModulo && left.is_string()) {
    return format_percent(left.text(), right);
  }
  if (operation == Operation::kMultiply) {
    if (is_sequence(left) && right.is_integral()) {
      return repeat(left, right.integer());
    }
    if (left.is_integral() && is_sequence(right)) {
      return repeat(right, left.integer());
    }
  }
  fail_operands(kSigns[static_cast<size_t>(operation)], left, right);
}

Value negate(const Value& value) {
  if (value.is(Type::kFloat)) {
    return -value.number();
  }
  return calculate(Operation::kSubtract, 0, affirm(value));
}

Value affirm(const Value& value) {
  if (value.is_undefined()) {
    fail(value.as<Undefined>().message);
  }
  if (!value.is_number()) {
    fail(fmt::format("bad operand type for a sign: '{}'", value.type_name()));
  }
  return value.is_integral() ? Value(value.integer()) : value;
}

} // namespace accrue::jinja
