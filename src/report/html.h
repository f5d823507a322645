// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "report/metrics.h"

namespace accrue::report {

/// Contents of the page besides the metrics.
struct PageInfo {
  /// Title and heading of the page.
  std::string title;
  /// Names and values of settings, shown as a table.
  std::vector<std::pair<std::string, std::string>> settings;
  /// Memory budget in bytes, drawn into the memory chart; 0 = none.
  uint64_t budget_bytes = 0;
};

/// Returns a self-contained HTML page: a summary, and loss, learning rate,
/// gradient norm, throughput and memory over steps as SVG charts. Needs neither
/// scripts nor the network.
std::string render_page(
    const PageInfo& info,
    const std::vector<StepMetrics>& metrics);

} // namespace accrue::report
