// SPDX-License-Identifier: Apache-2.0
#include "cli/flag_parser.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "cli/exit.h"

namespace accrue::cli {
namespace {

/// Returns "--valid,--data", or the bare name of a positional argument.
std::string flag_names(const OptionRow& row) {
  if (row.positional) {
    return std::string(row.name);
  }
  return row.alias.empty() ? fmt::format("--{}", row.name)
                           : fmt::format("--{},--{}", row.alias, row.name);
}

/// Returns the text of a TOML string without its quotes.
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
  CLI::Option* option = app_->add_flag(flag_names(row), help);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  remember(row, option);
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
  option->type_name(placeholder + (row.required ? " REQUIRED" : ""));
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
  report_unknown(app_->remaining(), problems);
  Texts given;
  for (const auto& [name, flag] : flags_) {
    if (flag.option->count() > 0) {
      const std::vector<std::string> results = flag.option->reduced_results();
      const bool bare = !flag.if_bare.empty() && results.size() == 1 &&
          results.front().empty();
      given[name] = bare ? std::vector{flag.if_bare} : results;
    }
  }
  return given;
}

void FlagParser::report_unknown(
    const std::vector<std::string>& arguments,
    Problems& problems) const {
  Names names;
  for (const auto& [name, flag] : flags_) {
    names.insert(
        flag.option->get_lnames().begin(), flag.option->get_lnames().end());
  }
  bool after_flag = false;
  for (const std::string& argument : arguments) {
    const bool is_flag = argument.starts_with("--");
    if (after_flag && !argument.starts_with("-")) { // the unknown flag's value
      after_flag = false;
      continue;
    }
    const size_t end = argument.find('=');
    after_flag = is_flag && end == std::string::npos;
    std::optional<std::string> nearest;
    if (is_flag) {
      nearest = nearest_name(argument.substr(2, end - 2), names);
    }
    problems.add(fmt::format(
        "unknown argument \"{}\"{}",
        argument,
        nearest
            ? fmt::format(", did you mean --{}?", *nearest)
            : fmt::format("; {} --help lists the flags", app_->get_name())));
  }
}

std::string unknown_setting(
    const std::string& source,
    const std::string& name,
    const Names& known) {
  // As TOML files spell names.
  auto spelled = [](std::string text) {
    std::replace(text.begin(), text.end(), '-', '_');
    return text;
  };
  const std::optional<std::string> nearest = nearest_name(name, known);
  return fmt::format(
      "{}{} is not a setting{}",
      source,
      spelled(name),
      nearest ? fmt::format(", did you mean {}?", spelled(*nearest)) : "");
}

} // namespace accrue::cli
