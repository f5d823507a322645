// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "accrue/core/error.h"
#include "cli/nearest_name.h"
#include "run/option_check.h"
#include "run/option_row.h"
#include "run/option_text.h"

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace accrue::cli {

/// Values of settings as text, by the name of the setting.
using Texts = std::map<std::string, std::vector<std::string>, std::less<>>;

/// Value of a switch that is given.
inline constexpr const char* kSwitchedOn = "true";

template <class T>
constexpr bool kIsList = std::is_same_v<T, std::vector<std::string>>;

/// The flags of a command, made from rows of a table (run/option_row.h).
/// CLI11 splits the command line and writes the help. apply() reads the values,
/// so that all problems are reported at once and TOML files are read likewise.
class FlagParser {
 public:
  FlagParser(const std::string& command, const std::string& description);
  ~FlagParser();
  FlagParser(const FlagParser&) = delete;
  FlagParser& operator=(const FlagParser&) = delete;

  /// Sets the title in --help of the flags that are added from now on.
  void begin_group(const std::string& title) {
    group_ = title;
  }
  /// Adds the flag of a row; `fallback` is the default that --help shows. The
  /// functions that visit the rows of a table call this.
  template <class T>
  void operator()(const OptionRow& row, const T& fallback) {
    if constexpr (std::is_same_v<T, bool>) {
      add_switch(row);
    } else {
      add(row, placeholder<T>(row), option_text::to_toml(fallback), kIsList<T>);
    }
  }

  /// Splits a command line. Adds unknown arguments to `problems`. Prints the
  /// help and throws Exit for --help.
  Texts parse(std::vector<std::string> arguments, Problems& problems);

 private:
  template <class T>
  struct Inner {
    using Type = T;
  };
  template <class T>
  struct Inner<std::optional<T>> {
    using Type = T;
  };

  /// Returns the value that --help shows: the row's, or the names of an enum.
  template <class T>
  static std::string placeholder(const OptionRow& row) {
    using Type = typename Inner<T>::Type;
    if constexpr (std::is_enum_v<Type>) {
      return all_names<Type>("|");
    } else {
      return std::string(row.value);
    }
  }

  void add_switch(const OptionRow& row);
  void add(
      const OptionRow& row,
      const std::string& placeholder,
      const std::string& fallback,
      bool list);
  /// Registers a flag for parse().
  void remember(const OptionRow& row, CLI::Option* option);
  void report_unknown(
      const std::vector<std::string>& arguments,
      Problems& problems) const;

  struct Flag {
    CLI::Option* option = nullptr;
    std::string if_bare;
  };

  std::unique_ptr<CLI::App> app_;
  std::string group_ = "Options";
  std::map<std::string, Flag> flags_; // by the name of the setting
};

/// Returns the problem of a name in a TOML file that is not a setting.
std::string unknown_setting(
    const std::string& source,
    const std::string& name,
    const Names& known);

/// Sets the fields that `texts` names. `visit(visitor)` calls
/// visitor(row, field) for every row; `source` stands before a name in
/// problems: "--" or "run.toml: ".
template <class Visit>
void apply(
    const Visit& visit,
    const Texts& texts,
    const std::string& source,
    Problems& problems) {
  Names known;
  visit([&](const OptionRow& row, auto& field) {
    known.emplace(row.name);
    auto it = texts.find(row.name);
    if (it == texts.end()) {
      return;
    }
    const std::vector<std::string>& values = it->second;
    try {
      if constexpr (kIsList<std::decay_t<decltype(field)>>) {
        field = values;
      } else if (values.size() != 1) {
        throw ConfigError(fmt::format(
            "expected one value, got {}", fmt::join(values, " and ")));
      } else {
        option_text::parse(values.front(), field);
      }
    } catch (const ConfigError& error) {
      problems.add(fmt::format("{}{}: {}", source, row.name, error.what()));
    }
  });
  for (const auto& [name, values] : texts) {
    if (!known.contains(name)) {
      problems.add(unknown_setting(source, name, known));
    }
  }
}

/// Reads the command line of a command that has no other source of settings.
/// Options::visit(options, visitor) calls visitor(row, field) for every row.
/// Throws ConfigError with all problems, Exit for --help.
template <class Options>
Options parse_command(
    const std::string& command,
    const std::string& description,
    const std::vector<std::string>& arguments) {
  Options options;
  Problems problems;
  FlagParser parser(command, description);
  Options::visit(options, parser);
  auto visit = [&](auto&& visitor) { Options::visit(options, visitor); };
  apply(visit, parser.parse(arguments, problems), "--", problems);
  option_check::check_rows(visit, problems);
  problems.throw_if_any<ConfigError>("config");
  return options;
}

} // namespace accrue::cli
