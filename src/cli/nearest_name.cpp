// SPDX-License-Identifier: Apache-2.0
#include "cli/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace accrue::cli {
namespace {

/// Returns the Levenshtein distance: single-character edits from `a` to `b`.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

} // namespace

std::optional<std::string> nearest_name(
    std::string_view given,
    const Names& names) {
  constexpr size_t kFewest = 3; // characters; fewer begin too many names
  if (given.size() < kFewest) {
    return std::nullopt;
  }
  std::optional<std::string> nearest;
  size_t limit = std::min<size_t>(2, (given.size() - 1) / 2) + 1;
  for (const std::string& name : names) {
    const size_t distance =
        name.starts_with(given) ? 0 : edit_distance(given, name);
    if (distance < limit) {
      limit = distance;
      nearest = name;
    }
  }
  return nearest;
}

} // namespace accrue::cli
