// SPDX-License-Identifier: Apache-2.0
#include "text/mixture.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string_view>

#include "text/order.h"

namespace accrue {
namespace {

/// Removes a share such as ":0.7" from a path and returns it.
std::optional<double> take_share(std::string& path) {
  size_t colon = path.rfind(':');
  std::error_code ignored;
  if (colon == std::string::npos || colon == 0 ||
      std::filesystem::exists(path, ignored)) {
    return std::nullopt;
  }
  double share = 0;
  const char* end = path.data() + path.size();
  auto [stop, error] = std::from_chars(path.data() + colon + 1, end, share);
  if (error != std::errc() || stop != end) {
    return std::nullopt;
  }
  path.resize(colon);
  return share;
}

} // namespace

std::vector<DataPart> data_parts(
    const std::vector<std::string>& data,
    Problems& problems) {
  std::vector<DataPart> parts;
  std::string without;
  for (std::string path : data) {
    if (std::optional<double> share = take_share(path)) {
      parts.push_back({{path}, *share});
    } else {
      without = path;
    }
  }
  if (parts.empty()) {
    return {{data, 1}};
  }
  if (!without.empty()) {
    problems.add(fmt::format(
        "--data gives {} a share and {} none; give every path its share, or "
        "none",
        parts.front().paths.front(),
        without));
  }
  const double sum = std::accumulate(
      parts.begin(), parts.end(), 0.0, [](double total, const DataPart& part) {
        return total + part.share;
      });
  constexpr double kLeast = 1.0 / static_cast<double>(SampleOrder::kBlock);
  for (const DataPart& part : parts) {
    // The test also fails if the sum is not a number.
    if (!(part.share > 0 && part.share / sum >= kLeast)) {
      problems.add(fmt::format(
          "--data {}: a share must be a number > 0, and at least 1/{} of the "
          "sum of all, got {}",
          part.paths.front(),
          SampleOrder::kBlock,
          part.share));
    }
  }
  return parts;
}

} // namespace accrue
