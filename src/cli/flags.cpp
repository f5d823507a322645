// SPDX-License-Identifier: Apache-2.0
#include "cli/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>
#include <string_view>

#include "accrue/core/error.h"
#include "cli/flag_parser.h"
#include "io/toml.h"
#include "run/run_lock.h"

namespace accrue::cli {
namespace {

namespace fs = std::filesystem;

/// Adds all flags of train, plan and verify, in groups.
void add_flags(FlagParser& parser) {
  const ParsedFlags defaults;
  parser.begin_group("What decides the result");
  visit_logical(defaults.options, parser);
  parser.begin_group("How far to go");
  visit_extent(defaults.options, parser);
  parser.begin_group("What decides only the time, and what is kept");
  visit_physical(defaults.options, parser);
  parser.begin_group("This call");
  visit_invocation(defaults.options, parser);
  CallOptions::visit(defaults.call, parser);
}

/// Reads a TOML file. Throws ConfigError.
Texts read_toml(const std::string& path) {
  toml::table table = io::read_toml<ConfigError>(path);
  Texts texts;
  for (const auto& [key, node] : table) {
    std::string name(key.str());
    std::replace(name.begin(), name.end(), '_', '-');
    std::vector<std::string>& values = texts[name];
    auto add = [&](const toml::node& value) {
      if (auto text = value.value_exact<std::string>()) {
        values.push_back(*text);
      } else {
        std::ostringstream out;
        value.visit([&](const auto& typed) { out << typed; });
        values.push_back(out.str());
      }
    };
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& value : *array) {
        add(value);
      }
    } else {
      add(node);
    }
  }
  return texts;
}

/// Clears the settings that `given` replaces: --steps clears the --epochs of an
/// earlier source.
void clear_replaced(const Texts& given, TrainOptions& options) {
  std::set<std::string_view> cleared;
  visit_settings(options, [&](const OptionRow& row, const auto&) {
    for (std::string_view other : {row.excludes, row.replaces}) {
      if (!other.empty() &&
          (given.contains(row.name) || given.contains(other))) {
        cleared.insert({row.name, other});
      }
    }
  });
  visit_settings(options, [&](const OptionRow& row, auto& field) {
    if (cleared.contains(row.name)) {
      field = {};
    }
  });
}

/// Makes paths absolute: a run can be resumed and repeated from any folder.
void make_paths_absolute(TrainOptions& options) {
  auto absolute = [](std::string& path) {
    if (!path.empty()) {
      path = fs::absolute(path).lexically_normal().string();
    }
  };
  absolute(options.model);
  absolute(options.valid);
  absolute(options.out);
  std::for_each(options.data.begin(), options.data.end(), absolute);
}

/// Reads the settings of the run in `out` that --resume continues, if one has
/// begun there.
void read_saved(const std::string& out, ParsedFlags& parsed) {
  const fs::path saved = fs::path(out) / "config.toml";
  parsed.begins = is_unused(out);
  if (parsed.begins) {
    return;
  }
  if (!fs::exists(saved)) {
    throw DataError(fmt::format(
        "[resume] {} holds other files and no run to resume (no "
        "config.toml). Check --out.",
        out));
  }
  apply(
      [&](auto&& visitor) { ParsedFlags::visit(parsed, visitor); },
      read_toml(saved),
      saved.string() + ": ",
      parsed.problems);
  parsed.saved = parsed.options;
}

} // namespace

ParsedFlags parse_flags(
    const std::string& command,
    const std::string& description,
    const std::vector<std::string>& arguments) {
  ParsedFlags parsed;
  TrainOptions& options = parsed.options;
  Problems& problems = parsed.problems;
  auto visit = [&](auto&& visitor) { ParsedFlags::visit(parsed, visitor); };
  FlagParser parser(command, description);
  add_flags(parser);
  Texts flags = parser.parse(arguments, problems);
  Texts file;
  std::string file_name;
  if (flags.contains("config")) {
    file_name = flags["config"].front();
    file = read_toml(file_name);
  }
  auto text = [&](const char* name) {
    const Texts& from = flags.contains(name) ? flags : file;
    auto it = from.find(name);
    return it == from.end() || it->second.empty() ? "" : it->second.front();
  };
  if (text("resume") == kSwitchedOn && !text("out").empty()) {
    read_saved(text("out"), parsed);
  }
  clear_replaced(file, options);
  apply(visit, file, file_name + ": ", problems);
  clear_replaced(flags, options);
  apply(visit, flags, "--", problems);
  option_check::check_rows(
      [&](auto&& visitor) { CallOptions::visit(parsed.call, visitor); },
      problems);
  if (options.resume && parsed.begins && options.model.empty()) {
    problems.add(fmt::format(
        "--resume: {} holds no run. Check --out, or give all settings to begin "
        "one there",
        options.out));
  }
  options.resume = options.resume && !parsed.begins;
  make_paths_absolute(options);
  if (parsed.saved) {
    for (const std::string& change :
         logical_differences(*parsed.saved, options)) {
      problems.add(fmt::format(
          "{}; a resumed run keeps what decides its result", change));
    }
  }
  return parsed;
}

} // namespace accrue::cli
