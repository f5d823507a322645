#include "cli/flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <numeric>
#include <utility>

#include "accrue/core/error.h"
#include "io/toml.h"
#include "train/option_table.h"
#include "train/option_text.h"
#include "train/run_lock.h"

namespace accrue::cli {
namespace {

namespace fs = std::filesystem;

/// Texts given for settings, by flag name, before they are understood.
using Texts = std::map<std::string, std::vector<std::string>>;

/// Levenshtein's.
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

/// The list that may stand without values, and what it means then.
constexpr struct {
  std::string_view name = "train-embeddings";
  const char* value = "added";
} kBareList;

/// Registers every option with CLI11 as text. Understanding is left to
/// `apply`, so that all problems are found and TOML goes the same way.
class FlagParser {
 public:
  FlagParser(const std::string& command, const std::string& description)
      : app_(description, "accrue " + command) {
    app_.allow_extras();
    app_.set_help_flag("-h,--help", "show this help");
    app_.get_formatter()->column_width(34);
    TrainOptions defaults;
    group_ = "What decides the result";
    visit_logical(defaults, *this);
    group_ = "How far to go";
    visit_extent(defaults, *this);
    group_ = "What decides only the time, and what is kept";
    visit_physical(defaults, *this);
    group_ = "This call";
    visit_invocation(defaults, *this);
  }

  template <class T>
  void operator()(
      const char* name,
      const T& fallback,
      const char* placeholder,
      const char* help) {
    std::string flag = fmt::format("--{}", name);
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<T, bool>) {
      const std::string description = help;
      option = app_.add_flag(flag, description);
    } else {
      std::string text = option_text::to_toml(fallback);
      std::string shown = text.empty() || text == "[]" || text == "\"\""
          ? help
          : fmt::format("{} [{}]", help, unquoted(text));
      option = app_.add_option(flag, texts_[name], shown);
      option->type_name(placeholder);
      constexpr bool kList = std::is_same_v<T, std::vector<std::string>>;
      option->expected(
          name == kBareList.name ? 0 : 1,
          kList ? CLI::detail::expected_max_vector_size : 1);
      // Flags given twice are found in `apply`, with everything else.
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    options_[name] = option->group(group_);
  }

  /// Exits after --help. Unknown flags go to `problems`.
  Texts parse(std::vector<std::string> arguments, Problems& problems) {
    std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants it
    try {
      app_.parse(arguments);
    } catch (const CLI::CallForHelp&) {
      fmt::print("{}", app_.help());
      std::exit(0);
    } catch (const CLI::ParseError& error) {
      problems.add(error.what());
    }
    for (const std::string& extra : app_.remaining()) {
      problems.add(
          fmt::format("unknown argument \"{}\"{}", extra, suggestion(extra)));
    }
    Texts given;
    for (const auto& [name, option] : options_) {
      if (option->count() > 0) {
        given[name] = texts_.contains(name) ? texts_[name]
                                            : std::vector<std::string>{"true"};
        if (name == kBareList.name &&
            given[name] == std::vector<std::string>{""}) {
          given[name] = {kBareList.value};
        }
      }
    }
    return given;
  }

 private:
  /// ", did you mean --x?" for a flag that is nearly one of ours.
  std::string suggestion(const std::string& given) const {
    for (const auto& [name, option] : options_) {
      std::string flag = fmt::format("--{}", name);
      if (given.starts_with("--") && edit_distance(given, flag) <= 2) {
        return fmt::format(", did you mean {}?", flag);
      }
    }
    return "";
  }

  static std::string unquoted(const std::string& text) {
    return text.front() == '"' ? text.substr(1, text.size() - 2) : text;
  }

  CLI::App app_;
  std::string group_;
  std::map<std::string, CLI::Option*> options_;
  Texts texts_;
};

/// Settings of a TOML file by flag name.
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

/// Sets the options that `texts` names; `source` is where they stand.
void apply(
    const Texts& texts,
    const std::string& source,
    TrainOptions& options,
    Problems& problems) {
  std::map<std::string, bool> known;
  auto set = [&](const char* name, auto& field, const char*, const char*) {
    known[name] = true;
    auto it = texts.find(name);
    if (it == texts.end()) {
      return;
    }
    const std::vector<std::string>& values = it->second;
    using Field = std::decay_t<decltype(field)>;
    try {
      if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
        field = values;
      } else if (values.size() != 1) {
        throw ConfigError(fmt::format(
            "expected one value, got {}", fmt::join(values, " and ")));
      } else {
        option_text::parse(values.front(), field);
      }
    } catch (const ConfigError& error) {
      problems.add(fmt::format("{}{}: {}", source, name, error.what()));
    }
  };
  visit_settings(options, set);
  visit_invocation(options, set);
  for (const auto& [name, values] : texts) {
    if (!known.contains(name)) {
      problems.add(fmt::format("{}{} is not a setting", source, name));
    }
  }
}

/// Two ways of saying one thing: a source that gives either replaces both.
void drop_replaced(const Texts& given, TrainOptions& options) {
  auto replace =
      [&](const char* a, auto& field_a, const char* b, auto& field_b) {
        if (given.contains(a) || given.contains(b)) {
          field_a = {};
          field_b = {};
        }
      };
  replace("steps", options.steps, "epochs", options.epochs);
  replace("memory", options.memory, "micro-batch", options.micro_batch);
  replace(
      "global-batch",
      options.global_batch,
      "global-batch-tokens",
      options.global_batch_tokens);
  replace("valid", options.valid, "valid-fraction", options.valid_fraction);
}

/// A run can then be resumed or repeated from any folder.
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

} // namespace

ParsedFlags parse_flags(
    const std::string& command,
    const std::string& description,
    const std::vector<std::string>& arguments) {
  ParsedFlags parsed;
  Problems& problems = parsed.problems;
  Texts flags = FlagParser(command, description).parse(arguments, problems);
  Texts file;
  if (flags.contains("config")) {
    file = read_toml(flags["config"].front());
  }
  TrainOptions& options = parsed.options;
  auto text = [&](const char* name) {
    const Texts& from = flags.contains(name) ? flags : file;
    auto it = from.find(name);
    return it == from.end() || it->second.empty() ? "" : it->second.front();
  };
  if (text("resume") == "true" && !text("out").empty()) {
    fs::path saved = fs::path(text("out")) / "config.toml";
    parsed.begins = is_unused(text("out"));
    if (!parsed.begins && !fs::exists(saved)) {
      throw DataError(fmt::format(
          "[resume] {} holds other files and no run to resume (no "
          "config.toml). Check --out.",
          text("out")));
    }
    if (!parsed.begins) {
      apply(read_toml(saved), saved.string() + ": ", options, problems);
      parsed.saved = options;
    }
  }
  drop_replaced(file, options);
  apply(
      file,
      flags.contains("config") ? text("config") + ": " : "",
      options,
      problems);
  drop_replaced(flags, options);
  apply(flags, "--", options, problems);
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
