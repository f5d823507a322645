#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace accrue::cli {

/// Parses the arguments of a command that has no settings of a run. Prints help
/// and exits for --help; throws ConfigError for what it can't understand.
void parse_arguments(CLI::App& app, const std::vector<std::string>& arguments);

} // namespace accrue::cli
