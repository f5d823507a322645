// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "run/option_row.h"

// Checks of values by the rows of their table.

namespace accrue::option_check {

/// Returns whether a setting has a value. One with a default always has.
template <class T>
bool is_given(const T&) {
  return true;
}
inline bool is_given(const std::string& text) {
  return !text.empty();
}
inline bool is_given(const std::vector<std::string>& list) {
  return !list.empty();
}
template <class T>
bool is_given(const std::optional<T>& value) {
  return value.has_value();
}

void check_bound(const OptionRow& row, int64_t value, Problems& problems);
void check_bound(const OptionRow& row, double value, Problems& problems);
void check_bound(const OptionRow& row, Seconds value, Problems& problems);
/// Does nothing: other types have no bounds.
template <class T>
void check_bound(const OptionRow&, const T&, Problems&) {}
template <class T>
void check_bound(
    const OptionRow& row,
    const std::optional<T>& value,
    Problems& problems) {
  if (value) {
    check_bound(row, *value, problems);
  }
}

void add_missing(const OptionRow& row, Problems& problems);
void add_contradiction(const OptionRow& row, Problems& problems);

/// Adds a problem for each required setting that is missing, each number beyond
/// its bound and each two settings that exclude each other. `visit(visitor)`
/// calls visitor(row, field) for every row.
template <class Visit>
void check_rows(const Visit& visit, Problems& problems) {
  std::map<std::string_view, bool> given;
  visit([&](const OptionRow& row, const auto& field) {
    given[row.name] = is_given(field);
  });
  visit([&](const OptionRow& row, const auto& field) {
    if (row.required && !given[row.name]) {
      add_missing(row, problems);
    }
    check_bound(row, field, problems);
    if (!row.excludes.empty() && given[row.name] && given[row.excludes]) {
      add_contradiction(row, problems);
    }
  });
}

} // namespace accrue::option_check
