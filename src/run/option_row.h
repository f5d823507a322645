// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <string>
#include <string_view>

namespace accrue {

/// Interval that a number must lie in. NaN lies in none.
struct Bound {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  double low = -kInfinity;
  double high = kInfinity;
  bool holds_low = true;
  bool holds_high = true;

  constexpr bool holds(double value) const {
    return (holds_low ? value >= low : value > low) &&
        (holds_high ? value <= high : value < high);
  }
  /// "in [0, 1)", ">= 1", "> 0", "between 0 and 1" (both excluded).
  std::string text() const;
};

constexpr Bound at_least(double low) {
  return {.low = low};
}
constexpr Bound above(double low) {
  return {.low = low, .holds_low = false};
}
/// [low, high)
constexpr Bound from_to_below(double low, double high) {
  return {.low = low, .high = high, .holds_high = false};
}
/// (low, high)
constexpr Bound between(double low, double high) {
  return {.low = low, .high = high, .holds_low = false, .holds_high = false};
}
/// [low, high]
constexpr Bound from_to(double low, double high) {
  return {.low = low, .high = high};
}
/// >= 0, neither infinite nor NaN.
constexpr Bound finite() {
  return from_to_below(0, Bound::kInfinity);
}

/// Row of a table of settings: everything about a setting except its type and
/// default, which are those of its field. A table is a function that calls
/// visitor(row, field) for each row. The command line, TOML files, --help and
/// the checks of values are made from it.
struct OptionRow {
  /// Flag without its dashes. TOML files write _ for -.
  std::string_view name;
  /// Placeholder of the value in --help. Leave it out for switches, and for
  /// enums, whose spellings are shown.
  std::string_view value = "";
  std::string_view help = "";
  /// Values that a number may have.
  Bound bound = {};
  /// Leaving it out is an error.
  bool required = false;
  /// Name of a setting that contradicts this one: giving both is an error. A
  /// source of settings (command line, --config) that gives one of the two
  /// clears the value of the other from an earlier source. One of the two rows
  /// states it.
  std::string_view excludes = "";
  /// Name of a setting that is cleared likewise, although a source may give
  /// both.
  std::string_view replaces = "";
  /// Value of a list whose flag is given without values.
  std::string_view if_bare = "";
  /// Second name of the flag.
  std::string_view alias = "";
  /// Whether the value is an argument without a flag.
  bool positional = false;
};

} // namespace accrue
