// SPDX-License-Identifier: Apache-2.0
#include "cli/flag_parser.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>
#include <utility>

#include "cli/exit.h"

namespace accrue::cli {
namespace {

/// Returns the Levenshtein distance: single-character edits from `a` to `b`.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// Returns "--valid,--data", or the bare name of a positional argument.
std::string flag_names(const OptionRow& row) {
  if (row.positional) {
    return std::string(row.name);
  }
  return row.alias.empty() ? fmt::format("--{}", row.name)
                           : fmt::format("--{},--{}", row.alias, row.name);
}

std::string unquoted(const std::string& text) {
  return text.front() == '"' ? text.substr(1, text.size() - 2) : text;
}

} // namespace

FlagParser::FlagParser(
    const std::string& command,
    const std::string& description)
    : app_(std::make_unique<CLI::App>(description, "accrue " + command)) {
  app_->allow_extras();
  app_->set_help_flag("-h,--help", "show this help");
  app_->get_formatter()->column_width(34);
}

FlagParser::~FlagParser() = default;

void FlagParser::add_switch(const OptionRow& row) {
  const std::string help(row.help); // CLI11 would bind a temporary as a value
  remember(row, app_->add_flag(flag_names(row), help));
  flags_[std::string(row.name)].is_switch = true;
}

void FlagParser::add(
    const OptionRow& row,
    const std::string& placeholder,
    const std::string& fallback,
    bool list) {
  std::string help(row.help);
  if (!fallback.empty() && fallback != "[]" && fallback != "\"\"") {
    help += fmt::format(" [{}]", unquoted(fallback));
  }
  // parse() takes the texts as they are.
  CLI::callback_t accept = [](const CLI::results_t&) { return true; };
  CLI::Option* option =
      app_->add_option(flag_names(row), std::move(accept), help);
  const bool required = row.required && shows_required_;
  option->type_name(placeholder + (required ? " REQUIRED" : ""));
  if (list) {
    option->allow_extra_args();
    option->expected(
        row.if_bare.empty() ? 1 : 0, CLI::detail::expected_max_vector_size);
  }
  // apply() reports a flag that is given twice, together with other problems.
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  remember(row, option);
}

void FlagParser::remember(const OptionRow& row, CLI::Option* option) {
  if (!row.positional) {
    option->group(group_);
  }
  flags_[std::string(row.name)] = {option, std::string(row.if_bare)};
}

Texts FlagParser::parse(
    std::vector<std::string> arguments,
    Problems& problems) {
  std::reverse(
      arguments.begin(), arguments.end()); // CLI11 takes the last one first
  try {
    app_->parse(arguments);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app_->help());
    throw Exit{0};
  } catch (const CLI::ParseError& error) {
    problems.add(error.what());
  }
  for (const std::string& extra : app_->remaining()) {
    problems.add(
        fmt::format("unknown argument \"{}\"{}", extra, suggestion(extra)));
  }
  Texts given;
  for (const auto& [name, flag] : flags_) {
    if (flag.option->count() > 0) {
      const std::vector<std::string>& results = flag.option->results();
      const bool bare = !flag.if_bare.empty() && results.size() == 1 &&
          results.front().empty();
      given[name] = flag.is_switch ? std::vector<std::string>{kSwitchedOn}
          : bare                   ? std::vector<std::string>{flag.if_bare}
                                   : results;
    }
  }
  return given;
}

/// Returns ", did you mean --x?" for text that is nearly a flag, else how to
/// list the flags.
std::string FlagParser::suggestion(const std::string& given) const {
  for (const auto& [name, flag] : flags_) {
    std::string known = fmt::format("--{}", name);
    if (given.starts_with("--") && edit_distance(given, known) <= 2) {
      return fmt::format(", did you mean {}?", known);
    }
  }
  return fmt::format("; {} --help lists the flags", app_->get_name());
}

} // namespace accrue::cli
