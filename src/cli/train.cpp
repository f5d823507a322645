// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "accrue/core/units.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/probe.h"
#include "cli/threads.h"
#include "io/json.h"
#include "run/fit_table_file.h"
#include "run/trainer.h"

namespace accrue::cli {
namespace {

void warn_about_horizon(
    const ParsedFlags& flags,
    const Task& task,
    report::Progress& progress) {
  const TrainOptions& options = flags.options;
  bool changed = flags.saved &&
      (flags.saved->steps != options.steps ||
       flags.saved->epochs != options.epochs);
  if (changed && options.schedule != ScheduleKind::kConstant) {
    progress.line(fmt::format(
        "note: the schedule now ends at step {}; learning rates differ "
        "from those of a run planned for it from the start",
        task.total_steps()));
  }
  // The last window of whole epochs may be short.
  double planned = changed && flags.saved->epochs
      ? *flags.saved->epochs * static_cast<double>(task.train_set().size())
      : 0;
  if (int64_t rest = std::llround(planned) % task.global_batch(); rest > 0) {
    progress.line(fmt::format(
        "note: the run was planned to end with a step of {} of {} samples; if "
        "that step is done, the result is not that of a run planned for this "
        "length from the start",
        rest,
        task.global_batch()));
  }
}

bool ended_early(const TrainSummary& s) {
  return s.signal != 0 || s.out_of_time || s.out_of_patience;
}

/// Returns the command that continues the run.
std::string go_on(const TrainOptions& options) {
  return fmt::format("accrue train --out {} --resume", options.out);
}

io::OrderedJson to_json(
    const TrainOptions& options,
    const TrainSummary& s,
    double planning_seconds) {
  io::OrderedJson json;
  json["steps"] = s.steps;
  json["first_loss"] = s.first_loss ? io::OrderedJson(*s.first_loss) : nullptr;
  json["last_loss"] = s.last_loss ? io::OrderedJson(*s.last_loss) : nullptr;
  json["seconds"] = s.seconds;
  json["micro_batch"] = s.micro_batch;
  json["resident_peak_bytes"] = s.resident_peak_bytes;
  json["device_peak_bytes"] =
      s.device_peak_bytes > 0 ? io::OrderedJson(s.device_peak_bytes) : nullptr;
  json["predicted_peak_bytes"] = s.predicted_peak_bytes > 0
      ? io::OrderedJson(s.predicted_peak_bytes)
      : nullptr;
  json["checkpointing"] = s.checkpointing;
  json["planning_s"] = planning_seconds;
  json["unsplit_bytes"] =
      s.unsplit_bytes > 0 ? io::OrderedJson(s.unsplit_bytes) : nullptr;
  json["total_steps"] = s.total_steps;
  json["interrupted"] = s.signal != 0;
  json["out_of_time"] = s.out_of_time;
  json["out_of_patience"] = s.out_of_patience;
  if (s.best) {
    json["best"] = {{"step", s.best->step}, {"valid_loss", s.best->loss}};
  }
  json["go_on"] = ended_early(s) ? io::OrderedJson(go_on(options)) : nullptr;
  json["out"] = options.out;
  return {{"summary", json}};
}

void print_result(const TrainOptions& options, const TrainSummary& s) {
  if (s.first_loss) {
    fmt::print(
        "\nloss {:.4f} -> {:.4f} in {}\n",
        *s.first_loss,
        *s.last_loss,
        format_duration(s.seconds));
  } else {
    fmt::print("nothing left to do: {} steps are done\n", s.steps);
  }
  if (s.unsplit_bytes > 0) {
    fmt::print(
        "the unsplit batch would have needed {}\n",
        format_bytes(s.unsplit_bytes));
  }
  fmt::print(
      "this run took                      {}\n",
      s.device_peak_bytes > 0
          ? format_bytes(s.device_peak_bytes) + " of the GPU's memory"
          : format_bytes(s.resident_peak_bytes));
  if (s.best) {
    fmt::print(
        "lowest validation loss {:.4f}, at step {}\n",
        s.best->loss,
        s.best->step);
  }
  if (ended_early(s)) {
    fmt::print(
        "{} after step {} of {}; go on with: {}{}\n",
        s.out_of_patience   ? "stopped by --patience"
            : s.out_of_time ? "stopped by --max-time"
                            : "interrupted",
        s.steps,
        s.total_steps,
        go_on(options),
        s.out_of_patience ? " and a higher --patience" : "");
  }
  if (s.signal == 0) {
    fmt::print("model   {}/model\n", options.out);
  }
  fmt::print("report  {}/report.html\n", options.out);
}

} // namespace

int run_train(const std::vector<std::string>& arguments) {
  // --max-time counts from here, as the time limits of job systems do.
  const auto started = Clock::now();
  ParsedFlags flags = parse_flags(
      "train", "Train a language model at a large logical batch.", arguments);
  const TrainOptions& options = flags.options;
  const Threads threads(options.threads);
  report::Progress progress(progress_stream(flags.call.json), flags.call.quiet);
  std::string fit_table;
  auto planning_started = Clock::now();
  if (needs_plan(options) && flags.problems.empty()) {
    // A GPU's memory can be given back and its peak reset: probes need no
    // process of their own there.
    fit_table = options.device == "cpu" ? probe_in_child(arguments)
                                        : saved_fit_table(options);
  }
  std::chrono::duration<double> planning = Clock::now() - planning_started;
  Task task(options, /*needs_out=*/true, progress.callback(), flags.problems);
  print_warnings(task.source());
  if (flags.begins) {
    progress.line(fmt::format(
        "nothing to resume in {} yet: beginning the run", options.out));
  }
  warn_about_horizon(flags, task, progress);
  auto print_step = [&](const report::StepMetrics& metrics) {
    if (flags.call.json) {
      fmt::print("{}\n", report::to_json(metrics));
      std::fflush(stdout);
    }
  };
  TrainSummary summary = train(
      task, progress, print_step, parse_fit_table(task, fit_table), started);
  if (flags.call.json) {
    fmt::print("{}\n", to_json(options, summary, planning.count()).dump());
  } else {
    print_result(options, summary);
  }
  return summary.signal == 0 ? 0 : 128 + summary.signal;
}

} // namespace accrue::cli
