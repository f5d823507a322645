// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "accrue/core/error.h"
#include "cli/commands.h"
#include "run/trainer.h"

namespace accrue::cli {

int run_report(const std::vector<std::string>& arguments) {
  bool help =
      !arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h");
  if (help || arguments.size() != 1 || arguments[0].starts_with("-")) {
    constexpr const char* kUsage =
        "usage: accrue report DIR\n\n"
        "Rebuilds DIR/report.html from DIR/config.toml and "
        "DIR/metrics.jsonl.\n";
    if (help) {
      fmt::print("{}", kUsage);
      return 0;
    }
    throw ConfigError(
        fmt::format("[report] expected one run directory.\n{}", kUsage));
  }
  write_report(arguments[0]);
  fmt::print("{}/report.html\n", arguments[0]);
  return 0;
}

} // namespace accrue::cli
