// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "accrue/core/export.h"

namespace accrue {

/// A size in bytes, kept apart from plain counts by its type.
struct Bytes {
  uint64_t value = 0;
  auto operator<=>(const Bytes&) const = default;
};

/// A length of time, kept apart from plain numbers by its type.
struct Seconds {
  double value = 0;
  auto operator<=>(const Seconds&) const = default;
};

namespace literals {
constexpr Bytes operator""_MiB(unsigned long long n) {
  return {n << 20};
}
constexpr Bytes operator""_GiB(unsigned long long n) {
  return {n << 30};
}
} // namespace literals

/// Reads "512MiB", "4GiB", "1.5GB", "2e9" or "4096". Binary suffixes are KiB,
/// MiB, GiB, TiB; decimal ones are kB/KB, MB, GB, TB; no suffix means bytes.
/// Throws ConfigError that names the text.
[[nodiscard]] ACCRUE_API Bytes parse_bytes(std::string_view text);

/// Reads "90s", "30m", "8h", "1.5h", "2d" or several of them, the largest
/// first: "1h30m". A number without a unit is refused, because its unit would
/// be a guess. Throws ConfigError that names the text.
[[nodiscard]] ACCRUE_API Seconds parse_seconds(std::string_view text);

/// Writes "1.50 GiB", "312 MiB" or "12 B".
[[nodiscard]] ACCRUE_API std::string format_bytes(uint64_t bytes);

/// Writes "950 ms", "12.3 s", "4m 05s" or "2h 03m".
[[nodiscard]] ACCRUE_API std::string format_duration(double seconds);

/// Writes 950 as "950", 12345 as "12.3k" and 4.2e6 as "4.2M".
[[nodiscard]] ACCRUE_API std::string format_count(double count);

} // namespace accrue
