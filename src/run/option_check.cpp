// SPDX-License-Identifier: Apache-2.0
#include "run/option_check.h"

#include <fmt/format.h>

namespace accrue {

std::string Bound::text() const {
  if (high == kInfinity && holds_high) {
    return fmt::format("{} {}", holds_low ? ">=" : ">", low);
  }
  if (!holds_low) {
    return fmt::format("between {} and {}", low, high);
  }
  return fmt::format("in [{}, {}{}", low, high, holds_high ? ']' : ')');
}

namespace option_check {
namespace {

template <class T>
void check_number(
    const OptionRow& row,
    T value,
    const char* unit,
    Problems& problems) {
  if (!row.bound.holds(static_cast<double>(value))) {
    problems.add(fmt::format(
        "--{} must be {}, got {}{}", row.name, row.bound.text(), value, unit));
  }
}

} // namespace

void check_bound(const OptionRow& row, int64_t value, Problems& problems) {
  check_number(row, value, "", problems);
}
void check_bound(const OptionRow& row, double value, Problems& problems) {
  check_number(row, value, "", problems);
}
void check_bound(const OptionRow& row, Seconds value, Problems& problems) {
  check_number(row, value.value, "s", problems);
}

void add_missing(const OptionRow& row, Problems& problems) {
  problems.add(fmt::format("--{} is required", row.name));
}

void add_contradiction(const OptionRow& row, Problems& problems) {
  problems.add(fmt::format(
      "--{} and --{} contradict each other; give one", row.name, row.excludes));
}

} // namespace option_check
} // namespace accrue
