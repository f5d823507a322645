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

/// One setting of a command: everything about it but its type and default,
/// which its field has. A struct of options lists its rows in a function that
/// calls visitor(row, field) for each. The command line, TOML files, --help and
/// the checks are all made from such lists.
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
  /// Name of another setting. Giving both is an error, and a source (command
  /// line, --config) that gives one takes back what an earlier source said of
  /// the other. One row of the two says so.
  std::string_view excludes = "";
  /// Name of another setting, treated the same but that both may be given.
  std::string_view takes_back = "";
  /// Value of a list that is given without any.
  std::string_view if_bare = "";
  /// Second name of the flag.
  std::string_view alias = "";
  /// Taken from an argument that is no flag.
  bool positional = false;
};

} // namespace accrue
