// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run/option_table.h"
#include "run/options.h"

namespace accrue::cli {

/// Settings of the command itself, not of the run.
struct CallOptions {
  /// TOML file with settings. Empty = none.
  std::string config;
  /// Results as JSON on stdout, progress on stderr.
  bool json = false;
  /// Price of an hour of this machine, >= 0, in any currency. None = the plan
  /// has no price.
  std::optional<double> price_per_hour;
  /// Every tensor in the output of verify, not only the worst.
  bool all = false;
  /// No progress.
  bool quiet = false;

  template <class Options, class Visitor>
  static void visit(Options& o, Visitor&& v);
};

/// Settings that the command line of train, plan or verify gives.
struct ParsedFlags {
  TrainOptions options;
  CallOptions call;
  /// With --resume: the settings that the run in --out was started with.
  std::optional<TrainOptions> saved;
  /// --resume was given where no run is: it begins there.
  bool begins = false;
  /// Problems of parsing. Task reports them with those it finds itself.
  Problems problems;

  template <class Flags, class Visitor>
  static void visit(Flags& f, Visitor&& v) {
    visit_settings(f.options, v);
    visit_invocation(f.options, v);
    CallOptions::visit(f.call, v);
  }
};

/// Reads defaults, then the settings of the run in --out (with --resume), then
/// --config, then the flags. Prints the help and throws Exit for --help.
ParsedFlags parse_flags(
    const std::string& command,
    const std::string& description,
    const std::vector<std::string>& arguments);

template <class Options, class Visitor>
void CallOptions::visit(Options& o, Visitor&& v) {
  v({.name = "config",
     .value = "FILE",
     .help = "read settings from a TOML file; the command line wins"},
    o.config);
  v({.name = "json", .help = "machine-readable output, progress on stderr"},
    o.json);
  v({.name = "price-per-hour",
     .value = "X",
     .help = "price of an hour of this machine, for plan",
     .bound = at_least(0)},
    o.price_per_hour);
  v({.name = "all",
     .help = "every tensor, not only the worst five, for verify"},
    o.all);
  v({.name = "quiet", .help = "no progress, only results and errors"}, o.quiet);
}

} // namespace accrue::cli
