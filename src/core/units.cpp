// SPDX-License-Identifier: Apache-2.0
#include "accrue/core/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "accrue/core/error.h"

namespace accrue {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 16> kSuffixes{{
    {"", 1},
    {"B", 1},
    {"kB", 1e3},
    {"KB", 1e3},
    {"MB", 1e6},
    {"GB", 1e9},
    {"TB", 1e12},
    {"KiB", 1024.0},
    {"MiB", 1048576.0},
    {"GiB", 1073741824.0},
    {"TiB", 1099511627776.0},
    {"k", 1e3},
    {"K", 1024.0},
    {"M", 1048576.0},
    {"G", 1073741824.0},
    {"T", 1099511627776.0},
}};

struct TimeUnit {
  char name;
  double seconds;
};

// Units from the largest to the smallest, the order within a text.
constexpr std::array<TimeUnit, 4> kTimeUnits{
    {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};

} // namespace

Bytes parse_bytes(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string_view suffix(rest, static_cast<size_t>(end - rest));
  while (!suffix.empty() && suffix.front() == ' ') {
    suffix.remove_prefix(1);
  }
  if (error == std::errc() && std::isfinite(number) && number >= 0) {
    for (auto [name, factor] : kSuffixes) {
      if (suffix == name && number * factor < 9e18) {
        return {static_cast<uint64_t>(std::llround(number * factor))};
      }
    }
  }
  throw ConfigError(fmt::format(
      "expected a size such as 512MiB, 4GiB or 2e9, got \"{}\"", text));
}

Seconds parse_seconds(std::string_view text) {
  double total = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  size_t next_unit = 0; // each number needs a smaller unit than the last
  while (at != end) {
    double number = 0;
    auto [rest, error] =
        std::from_chars(at, end, number, std::chars_format::fixed);
    size_t unit = next_unit;
    while (rest != end && unit < kTimeUnits.size() &&
           kTimeUnits[unit].name != *rest) {
      ++unit;
    }
    if (error != std::errc() || rest == end || unit == kTimeUnits.size() ||
        !(std::isfinite(number) && number >= 0)) {
      next_unit = 0;
      break;
    }
    total += number * kTimeUnits[unit].seconds;
    next_unit = unit + 1;
    at = rest + 1;
  }
  if (next_unit == 0 || !(total < 1e9)) {
    throw ConfigError(fmt::format(
        "expected a time such as 90s, 30m, 8h or 1h30m, got \"{}\"", text));
  }
  return {total};
}

std::string format_bytes(uint64_t bytes) {
  double value = static_cast<double>(bytes);
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) {
      break;
    }
    value /= 1024;
    unit = next;
  }
  int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, digits, unit);
}

std::string format_duration(double seconds) {
  if (seconds < 1) {
    return fmt::format("{:.0f} ms", seconds * 1e3);
  }
  if (seconds < 60) {
    return fmt::format("{:.1f} s", seconds);
  }
  auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) {
    return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  }
  return fmt::format("{}h {:02}m", whole / 3600, whole / 60 % 60);
}

std::string format_count(double count) {
  const char* unit = "";
  for (const char* next : {"k", "M", "G", "T", "P", "E"}) {
    if (std::abs(count) < 1000) {
      break;
    }
    count /= 1000;
    unit = next;
  }
  return *unit ? fmt::format("{:.{}f}{}", count, count < 100 ? 1 : 0, unit)
               : fmt::format("{:.0f}", count);
}

} // namespace accrue
