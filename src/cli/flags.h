#pragma once

#include <string>
#include <vector>

#include "train/options.h"

namespace accrue::cli {

/// What the command line of train, plan or verify says.
struct ParsedFlags {
  TrainOptions options;
  /// With --resume: the settings that the run in --out was started with.
  std::optional<TrainOptions> saved;
  /// --resume was given where nothing is: the run begins there.
  bool begins = false;
  /// What could not be understood; Task reports it with what it finds itself.
  Problems problems;
};

/// Reads defaults, then the settings of the run in --out (with --resume), then
/// --config, then the flags. Prints help and exits for --help.
ParsedFlags parse_flags(
    const std::string& command,
    const std::string& description,
    const std::vector<std::string>& arguments);

/// The commands: exit codes of design. Each parses its own flags.
int run_train(const std::vector<std::string>& arguments);
int run_probe(const std::vector<std::string>& arguments);
int run_plan(const std::vector<std::string>& arguments);
int run_verify(const std::vector<std::string>& arguments);
int run_generate(const std::vector<std::string>& arguments);
int run_eval(const std::vector<std::string>& arguments);
int run_show_data(const std::vector<std::string>& arguments);
int run_tokenize(const std::vector<std::string>& arguments);
int run_version();
int run_report(const std::vector<std::string>& arguments);

} // namespace accrue::cli
