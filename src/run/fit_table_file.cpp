// SPDX-License-Identifier: Apache-2.0
#include "run/fit_table_file.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "accrue/core/version.h"
#include "io/json.h"
#include "run/option_names.h"
#include "tensor/environment.h"

namespace accrue {
namespace {

/// Settings that a fit table depends on.
io::Json table_key(const Task& task) {
  const TrainOptions& o = task.options();
  return {
      {"model", io::Json::parse(task.model().config().json, nullptr, false)},
      {"length", task.train_set().max_length()},
      {"objective", to_string(o.objective)},
      {"trained", task.model().num_trained()},
      {"global_batch", task.global_batch()},
      {"dtype", to_string(o.dtype)},
      {"optimizer", to_string(o.optimizer)},
      {"on_nonfinite", to_string(o.on_nonfinite)},
      {"dropout", o.dropout > 0},
      {"checkpointing", to_string(o.checkpointing)},
      {"memory", o.memory ? o.memory->value : 0},
      {"threads", at::get_num_threads()},
      {"device", task.device_name()},
      {"grain_tokens", task.grain_tokens()},
      {"backend", tensor::backend_name()},
      {"instruction_set", tensor::instruction_set().name},
      {"version", ACCRUE_VERSION}};
}

/// True for a table that was measured to the end: with and without
/// recomputation it has the baseline, which takes no time, and one sample, or
/// neither.
bool is_complete(const drive::FitTable& table) {
  return !table.probes.empty() &&
      std::all_of(
          table.probes.begin(),
          table.probes.end(),
          [&](const drive::Probe& probe) {
            return table.measured(probe.batching.recompute) &&
                (probe.batching.max_samples > 0) == (probe.seconds > 0);
          });
}

} // namespace

std::optional<drive::FitTable> parse_fit_table(
    const Task& task,
    const std::string& text) {
  try {
    io::Json json = io::Json::parse(text);
    if (json.at("key") != table_key(task)) {
      return std::nullopt;
    }
    drive::FitTable table;
    table.program_bytes = json.at("program_bytes");
    table.grain = json.at("grain");
    table.commit_seconds = json.at("commit_seconds");
    for (const io::Json& probe : json.at("probes")) {
      table.probes.push_back(
          {{probe.at("micro_batch"), probe.at("checkpointing")},
           probe.at("tensor_bytes"),
           probe.at("seconds")});
    }
    return is_complete(table) ? std::optional(table) : std::nullopt;
  } catch (const io::Json::exception&) {
    return std::nullopt;
  }
}

std::string to_json(const Task& task, const drive::FitTable& table) {
  io::OrderedJson json;
  json["key"] = table_key(task);
  json["program_bytes"] = table.program_bytes;
  json["grain"] = table.grain;
  json["commit_seconds"] = table.commit_seconds;
  for (const drive::Probe& probe : table.probes) {
    json["probes"].push_back(
        {{"micro_batch", probe.batching.max_samples},
         {"checkpointing", probe.batching.recompute},
         {"tensor_bytes", probe.tensor_bytes},
         {"seconds", probe.seconds}});
  }
  return json.dump(2) + "\n";
}

} // namespace accrue
