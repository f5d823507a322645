#include "cli/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "accrue/core/error.h"

namespace accrue::cli {

void parse_arguments(CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed); // as CLI11 wants it
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    throw ConfigError(fmt::format(
        "[config] {}. {} --help lists the flags.",
        error.what(),
        app.get_name()));
  }
}

} // namespace accrue::cli
