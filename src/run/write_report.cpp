// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <sstream>
#include <string>

#include "io/files.h"
#include "io/toml.h"
#include "report/html.h"
#include "report/metrics.h"
#include "run/trainer.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

/// Returns a setting as it is written on the command line.
std::string show(const toml::node& node) {
  if (auto text = node.value_exact<std::string>()) {
    return *text;
  }
  if (auto number = node.value_exact<double>()) {
    return fmt::format("{}", *number); // the shortest that reads back the same
  }
  std::string text;
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& item : *list) {
      text += text.empty() ? "" : " ";
      text += show(item);
    }
    return text;
  }
  std::ostringstream out;
  node.visit([&](const auto& typed) { out << typed; });
  return out.str();
}

} // namespace

void write_report(const std::string& run) {
  fs::path folder(run);
  toml::table settings = io::read_toml<DataError>(folder / "config.toml");
  report::PageInfo info;
  info.title = fs::absolute(folder).lexically_normal().filename().string();
  for (const auto& [name, value] : settings) {
    info.settings.emplace_back(std::string(name.str()), show(value));
  }
  info.budget_bytes =
      static_cast<uint64_t>(settings["memory"].value_or(int64_t{0}));
  io::write_file(
      folder / "report.html",
      report::render_page(
          info, report::read_metrics(folder / "metrics.jsonl")));
}

} // namespace accrue
