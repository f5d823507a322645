// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {
namespace {

constexpr double kIntegerLimit = 9223372036854775808.0; // 2^63

int64_t to_integer(double value) {
  if (!(value >= -kIntegerLimit && value < kIntegerLimit)) {
    fail("an integer beyond 64 bits");
  }
  return static_cast<int64_t>(value);
}

Value make_integer(Runtime&, const Value& self, const Bound& arguments) {
  const Value fallback = arguments.get(0, 0);
  switch (self.type()) {
    case Type::kUndefined:
      fail(self.as<Undefined>().message);
    case Type::kBool:
    case Type::kInteger:
      return self.integer();
    case Type::kFloat:
      return std::isnan(self.number()) ? fallback
                                       : Value(to_integer(self.number()));
    case Type::kString: {
      const Value base = arguments.get(1, 10);
      auto whole = base.is_integral()
          ? parse_integer(self.text(), base.integer())
          : std::nullopt;
      if (whole) {
        return *whole;
      }
      auto value = parse_float(self.text()); // "42.23" is 42
      return value && std::isfinite(*value) ? Value(to_integer(*value))
                                            : fallback;
    }
    default:
      return fallback;
  }
}

Value make_float(Runtime&, const Value& self, const Bound& arguments) {
  if (self.is_undefined()) {
    fail(self.as<Undefined>().message);
  }
  if (self.is_number()) {
    return self.number();
  }
  auto value = self.is_string() ? parse_float(self.text()) : std::nullopt;
  return value ? Value(*value) : arguments.get(0, 0.0);
}

/// Python's round() of an integer at a power of ten; ties go to the even digit.
Value round_integer(int64_t value, int64_t precision) {
  if (precision >= 0) {
    return value;
  }
  if (precision < -18) {
    return 0;
  }
  int64_t unit = 1;
  for (int64_t i = precision; i < 0; ++i) {
    unit *= 10;
  }
  int64_t rest = value % unit;
  rest += rest < 0 ? unit : 0;
  int64_t down = 0;
  if (__builtin_sub_overflow(value, rest, &down)) {
    fail("an integer beyond 64 bits");
  }
  bool odd = (down / unit) % 2 != 0;
  bool up = rest > unit / 2 || (rest == unit / 2 && odd);
  return add(down, up ? unit : 0);
}

double round_float(double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 400) {
    return value;
  }
  if (precision < -400) {
    return std::copysign(0.0, value);
  }
  if (precision >= 0) { // exact: print and read back
    return std::strtod(
        fmt::format("{:.{}f}", value, precision).c_str(), nullptr);
  }
  double unit = std::pow(10.0, static_cast<double>(-precision));
  double scaled = value / unit;
  double rounded = std::nearbyint(scaled);
  return std::isfinite(unit) ? rounded * unit : std::copysign(0.0, value);
}

Value round_number(Runtime&, const Value& self, const Bound& arguments) {
  const int64_t precision = arguments.integer(0, 0);
  const std::string method = arguments.has(1) ? arguments.text(1) : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("round: the method must be common, ceil or floor");
  }
  if (!self.is_number()) {
    fail(fmt::format("round: needs a number, not '{}'", self.type_name()));
  }
  if (method == "common") {
    return self.is(Type::kFloat) ? Value(round_float(self.number(), precision))
                                 : round_integer(self.integer(), precision);
  }
  using Operation = Binary::Operation;
  Value unit = calculate(Operation::kPower, 10, precision);
  double scaled = calculate(Operation::kMultiply, self, unit).number();
  double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  return calculate(Operation::kDivide, to_integer(whole), unit);
}

Value absolute(Runtime&, const Value& self, const Bound&) {
  if (!self.is_number()) {
    fail(fmt::format("abs: needs a number, not '{}'", self.type_name()));
  }
  if (self.is(Type::kFloat)) {
    return std::fabs(self.number());
  }
  return self.integer() < 0 ? negate(self) : Value(self.integer());
}

constexpr Builtin kNumberFilters[] = {
    {"abs", "", absolute},
    {"float", "default?", make_float},
    {"int", "default? base?", make_integer},
    {"round", "precision? method?", round_number},
};

/// Returns digits without the single underscores between them; nullopt if
/// underscores are anywhere else.
std::optional<std::string> join_digits(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (
        i == 0 || i + 1 == text.size() ||
        std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0 ||
        std::isalnum(static_cast<unsigned char>(text[i + 1])) == 0) {
      return std::nullopt;
    }
  }
  return digits;
}

bool take_sign(std::string_view& text) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  return negative;
}

} // namespace

std::span<const Builtin> number_filters() {
  return kNumberFilters;
}

std::optional<int64_t> parse_integer(std::string_view text, int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) {
    return std::nullopt;
  }
  text = strip_right(strip_left(text));
  const bool negative = take_sign(text);
  if (text.size() > 1 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    const int named = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (named != 0 && (base == 0 || base == named)) {
      base = named;
      text.remove_prefix(2);
      text.remove_prefix(text.starts_with('_') ? 1 : 0);
    } else if (
        base == 0 && text.find_first_not_of("0_") != std::string_view::npos) {
      return std::nullopt; // 010 is not a literal
    }
  }
  auto digits = join_digits(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') {
    return std::nullopt;
  }
  uint64_t value = 0;
  const char* end = digits->data() + digits->size();
  auto [rest, error] = std::from_chars(
      digits->data(), end, value, base == 0 ? 10 : static_cast<int>(base));
  if (rest != end) {
    return std::nullopt;
  }
  const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (error == std::errc::result_out_of_range || value > limit) {
    fail("an integer beyond 64 bits");
  }
  return static_cast<int64_t>(negative ? -value : value);
}

std::optional<double> parse_float(std::string_view text) {
  text = strip_right(strip_left(text));
  auto joined = join_digits(text);
  if (!joined) {
    return std::nullopt;
  }
  std::string_view rest = *joined;
  const bool negative = take_sign(rest);
  // from_chars accepts more letters after "inf" and "nan", Python does not.
  std::string_view letters = rest.substr(0, rest.find_first_of("0123456789."));
  double value = 0;
  auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (end != rest.data() + rest.size() || rest.empty() ||
      rest.starts_with('-') || rest.find('(') != std::string_view::npos ||
      (!letters.empty() && letters != rest)) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(rest).c_str(), nullptr);
  }
  return negative ? -value : value;
}

} // namespace accrue::jinja
