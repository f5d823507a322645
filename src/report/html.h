#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "report/metrics.h"

namespace accrue::report {

/// What the page shows besides the metrics.
struct PageInfo {
  std::string title;
  /// Name and value, shown as a table.
  std::vector<std::pair<std::string, std::string>> settings;
  /// Drawn into the memory picture; 0 = none.
  uint64_t budget_bytes = 0;
};

/// One self-contained page: summary, and loss, learning rate, gradient norm,
/// throughput and memory over steps as SVG pictures. Needs neither scripts nor
/// the network.
std::string render_page(
    const PageInfo& info,
    const std::vector<StepMetrics>& metrics);

} // namespace accrue::report
