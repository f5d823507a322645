// SPDX-License-Identifier: Apache-2.0
#include "report/metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"

namespace accrue::report {
namespace {

namespace fs = std::filesystem;

/// Visits every field with its name, for writing and reading.
template <class Metrics, class Visitor>
void visit(Metrics& m, Visitor&& v) {
  v("step", m.step);
  v("loss", m.loss);
  v("valid_loss", m.valid_loss);
  v("lr", m.lr);
  v("grad_norm", m.grad_norm);
  v("samples", m.samples);
  v("tokens", m.tokens);
  v("target_tokens", m.target_tokens);
  v("tokens_per_s", m.tokens_per_s);
  v("step_s", m.step_s);
  v("micro_batch", m.micro_batch);
  v("accumulation_steps", m.accumulation_steps);
  v("world_size", m.world_size);
  v("peak_bytes", m.peak_bytes);
  v("resident_peak_bytes", m.resident_peak_bytes);
  v("skipped", m.skipped);
  v("reward_margin", m.reward_margin);
  v("reward_accuracy", m.reward_accuracy);
  v("valid_reward_margin", m.valid_reward_margin);
  v("valid_reward_accuracy", m.valid_reward_accuracy);
  v("rollbacks", m.rollbacks);
  v("warnings", m.warnings);
}

struct Writer {
  io::OrderedJson& json;

  template <class T>
  void operator()(const char* name, const T& value) {
    json[name] = value; // NaN and infinities are dumped as null
  }
  void operator()(const char* name, const std::optional<double>& value) {
    if (value) {
      json[name] = *value;
    }
  }
  void operator()(const char* name, const std::vector<std::string>& value) {
    if (!value.empty()) {
      json[name] = value;
    }
  }
};

struct Reader {
  const io::Json& json;

  template <class T>
  void operator()(const char* name, T& value) {
    value = json.at(name).get<T>();
  }
  void operator()(const char* name, double& value) {
    const io::Json& field = json.at(name);
    value = field.is_null() ? std::numeric_limits<double>::quiet_NaN()
                            : field.get<double>();
  }
  void operator()(const char* name, std::optional<double>& value) {
    if (json.contains(name)) {
      (*this)(name, value.emplace());
    }
  }
  void operator()(const char* name, std::vector<std::string>& value) {
    if (json.contains(name)) {
      value = json.at(name).get<std::vector<std::string>>();
    }
  }
};

} // namespace

std::string to_json(const StepMetrics& metrics) {
  io::OrderedJson json;
  visit(metrics, Writer{json});
  return json.dump();
}

std::vector<StepMetrics> read_metrics(const fs::path& path) {
  std::string text = io::read_file(path);
  std::vector<StepMetrics> list;
  size_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      break; // an incomplete last line
    }
    ++line_number;
    try {
      io::Json json = io::Json::parse(text.substr(begin, end - begin));
      visit(list.emplace_back(), Reader{json});
    } catch (const io::Json::exception& error) {
      throw DataError(fmt::format(
          "[report] line {} of {} is damaged ({}). Remove the line.",
          line_number,
          path.string(),
          error.what()));
    }
    begin = end + 1;
  }
  return list;
}

MetricsFile::MetricsFile(fs::path path, int64_t steps_done)
    : path_(std::move(path)) {
  std::string kept;
  if (steps_done > 0 && fs::exists(path_)) {
    for (const StepMetrics& metrics : read_metrics(path_)) {
      if (metrics.step <= steps_done) {
        kept += to_json(metrics) + "\n";
        done_.push_back(metrics);
      }
    }
  }
  io::write_file(path_, kept);
}

void MetricsFile::append(const StepMetrics& metrics) {
  io::append_file(path_, to_json(metrics) + "\n");
}

} // namespace accrue::report
