// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "accrue/core/units.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/threads.h"
#include "device/budget.h"
#include "io/json.h"
#include "run/probe.h"

namespace accrue::cli {
namespace {

/// Returns the floating-point operations of forward and backward per token: six
/// per parameter, plus 12 · layers · width · length / 2 for causal attention
/// (arXiv 2204.02311, appendix B).
double flops_per_token(const Task& task) {
  const ModelConfig& config = task.model().config();
  double attention = 6.0 *
      static_cast<double>(
                         config.num_layers * config.num_heads *
                         config.head_dim * task.train_set().max_length());
  // Frozen weights have no gradients.
  double passes = task.model().lora() ? 4 : 6;
  return passes * static_cast<double>(task.model().num_parameters()) +
      attention;
}

/// One micro-batch size, with or without activation checkpointing.
struct Row {
  drive::MicroBatching batching;
  int64_t accumulation_steps = 0;
  uint64_t peak_bytes = 0;
  double step_seconds = 0;
  bool probed = false; // else peak and time are calculated
  bool fits = false;
  bool chosen = false;
};

/// Figures of a plan, as printed and as JSON.
struct PlanSummary {
  uint64_t parameter_bytes = 0;
  uint64_t gradient_bytes = 0;
  uint64_t optimizer_bytes = 0;
  uint64_t program_bytes = 0;
  std::vector<Row> rows;
  std::string why;
  double tokens = 0; // upper bound for the whole run
  double flops = 0;
  double seconds = 0;
  std::optional<double> money;
  uint64_t smallest_budget_bytes = 0;
};

std::vector<Row> make_rows(const Task& task, const MemoryPlan& plan) {
  std::vector<Row> rows;
  for (bool recompute : {false, true}) {
    if (!plan.table.measured(recompute)) {
      continue;
    }
    std::set<int64_t> sizes{task.global_batch(), plan.batching.max_samples};
    for (int64_t n = 1; n < task.global_batch(); n *= 2) {
      sizes.insert(n);
    }
    for (const drive::Probe& probe : plan.table.probes) {
      if (probe.batching.max_samples > 0) {
        sizes.insert(probe.batching.max_samples);
      }
    }
    for (int64_t size : sizes) {
      const drive::MicroBatching batching{size, recompute};
      rows.push_back(
          {.batching = batching,
           .accumulation_steps = num_micro_batches(task.global_batch(), size),
           .peak_bytes = plan.table.peak(batching),
           .step_seconds =
               plan.table.step_seconds(batching, task.global_batch()),
           .probed = plan.table.find(batching) != nullptr,
           .fits = task.budget().fits(plan.table.peak(batching)),
           .chosen = batching == plan.batching});
    }
  }
  return rows;
}

std::string reason(const Task& task, const MemoryPlan& plan) {
  if (task.options().micro_batch) {
    return "asked for with --micro-batch";
  }
  std::string why = "the fastest that was probed and fits";
  if (plan.batching.recompute) {
    why += plan.table.measured(false)
        ? "; checkpointing leaves room for a larger, faster micro-batch"
        : "; only with checkpointing does a sample fit";
  }
  return why;
}

PlanSummary summarize(
    const Task& task,
    const Window& window,
    const MemoryPlan& plan,
    std::optional<double> price_per_hour) {
  PlanSummary summary;
  for (const auto& [name, parameter] : task.model().named_parameters()) {
    summary.parameter_bytes += parameter.nbytes();
  }
  summary.gradient_bytes = window.sum_bytes();
  std::unique_ptr<Optimizer> optimizer = task.make_optimizer();
  for (const auto& [name, tensor] : optimizer->state()) {
    summary.optimizer_bytes +=
        tensor.dim() > 0 ? tensor.nbytes() : 0; // scalars count steps
  }
  summary.program_bytes = plan.table.program_bytes;
  summary.rows = make_rows(task, plan);
  summary.why = reason(task, plan);
  auto steps = static_cast<double>(task.total_steps());
  summary.tokens = steps *
      static_cast<double>(task.global_batch() * task.train_set().max_length());
  summary.flops = summary.tokens * flops_per_token(task);
  summary.seconds = steps * plan.step_seconds;
  if (price_per_hour) {
    summary.money = *price_per_hour * summary.seconds / 3600;
  }
  for (bool recompute : {true, false}) {
    if (plan.table.measured(recompute)) {
      uint64_t bytes = device::Budget::needed_for(
          plan.table.peak({plan.table.grain, recompute}));
      uint64_t& smallest = summary.smallest_budget_bytes;
      smallest = smallest > 0 ? std::min(smallest, bytes) : bytes;
    }
  }
  return summary;
}

/// Returns two digits after the point, of less than 0.10 two digits in all.
std::string format_price(double price) {
  return price < 0.1 ? fmt::format("{:.2g}", price)
                     : fmt::format("{:.2f}", price);
}

void print_rows(const PlanSummary& summary) {
  fmt::print(
      "\n{:>11} {:>6} {:>14} {:>12} {:>12}\n",
      "micro-batch",
      "N",
      "checkpointing",
      "peak",
      "step");
  for (const Row& row : summary.rows) {
    const char* sign = row.probed ? "" : "~";
    fmt::print(
        "{:>11} {:>6} {:>14} {:>12} {:>12}{}{}\n",
        row.batching.max_samples,
        row.accumulation_steps,
        row.batching.recompute ? "on" : "off",
        fmt::format("{}{}", sign, format_bytes(row.peak_bytes)),
        fmt::format("{}{}", sign, format_duration(row.step_seconds)),
        row.fits ? "" : "  beyond the budget",
        row.chosen ? "  <- chosen" : "");
  }
  if (!std::ranges::all_of(summary.rows, &Row::probed)) {
    fmt::print("(~ calculated from the sizes that were probed)\n");
  }
}

void print_plan(
    const Task& task,
    const MemoryPlan& plan,
    const PlanSummary& summary) {
  auto row = [](const char* name, const std::string& value) {
    fmt::print("{:<34}{:>12}\n", name, value);
  };
  fmt::print(
      "chosen: micro-batch of {}{}: {}\n",
      plan.batching.max_samples,
      plan.batching.recompute ? " with checkpointing" : "",
      summary.why);
  fmt::print(
      "{} steps, at most {} tokens, {} FLOPs, about {}{}\n\n",
      task.total_steps(),
      format_count(summary.tokens),
      format_count(summary.flops),
      format_duration(summary.seconds),
      summary.money ? ", costs " + format_price(*summary.money) : "");
  fmt::print(
      "{} parameters, {} samples of up to {} tokens, global batch {}\n\n",
      format_count(static_cast<double>(task.model().num_parameters())),
      task.train_set().size(),
      task.train_set().max_length(),
      task.global_batch());
  row("parameters", format_bytes(summary.parameter_bytes));
  row("gradients (accumulators)", format_bytes(summary.gradient_bytes));
  row("optimizer state", format_bytes(summary.optimizer_bytes));
  row("program and libraries", format_bytes(summary.program_bytes));
  for (bool recompute : {false, true}) {
    if (plan.table.measured(recompute)) {
      row(recompute ? "  the same with checkpointing"
                    : "activations per sample",
          format_bytes(plan.table.bytes_per_sample(recompute)));
    }
  }
  row("budget", format_bytes(plan.budget_bytes));
  row("smallest possible budget", format_bytes(summary.smallest_budget_bytes));
  row("the unsplit batch would need", format_bytes(plan.unsplit_bytes));
  print_rows(summary);
}

io::OrderedJson to_json(
    const Task& task,
    const MemoryPlan& plan,
    const PlanSummary& summary) {
  io::OrderedJson json;
  json["num_parameters"] = task.model().num_parameters();
  json["parameter_bytes"] = summary.parameter_bytes;
  json["gradient_bytes"] = summary.gradient_bytes;
  json["optimizer_bytes"] = summary.optimizer_bytes;
  json["program_bytes"] = summary.program_bytes;
  json["activation_bytes_per_sample"] =
      plan.table.bytes_per_sample(plan.batching.recompute);
  json["budget_bytes"] = plan.budget_bytes;
  json["smallest_budget_bytes"] = summary.smallest_budget_bytes;
  json["unsplit_bytes"] = plan.unsplit_bytes;
  json["global_batch"] = task.global_batch();
  json["micro_batch"] = plan.batching.max_samples;
  json["checkpointing"] = plan.batching.recompute;
  json["why"] = summary.why;
  json["accumulation_steps"] =
      num_micro_batches(task.global_batch(), plan.batching.max_samples);
  json["peak_bytes"] = plan.peak_bytes;
  json["steps"] = task.total_steps();
  json["step_s"] = plan.step_seconds;
  json["tokens"] = summary.tokens;
  json["flops_per_token"] = flops_per_token(task);
  json["flops"] = summary.flops;
  json["hours"] = summary.seconds / 3600;
  if (summary.money) {
    json["money"] = *summary.money;
  }
  for (const Row& row : summary.rows) {
    json["rows"].push_back(
        {{"micro_batch", row.batching.max_samples},
         {"accumulation_steps", row.accumulation_steps},
         {"checkpointing", row.batching.recompute},
         {"peak_bytes", row.peak_bytes},
         {"step_s", row.step_seconds},
         {"probed", row.probed},
         {"fits", row.fits},
         {"chosen", row.chosen}});
  }
  return json;
}

} // namespace

int run_plan(const std::vector<std::string>& arguments) {
  ParsedFlags flags = parse_flags(
      "plan",
      "What fits, how fast, and what a run costs, from probes that are thrown "
      "away.",
      arguments);
  const TrainOptions& options = flags.options;
  const Threads threads(options.threads);
  report::Progress progress(progress_stream(flags.call.json), flags.call.quiet);
  Task task(options, /*needs_out=*/false, progress.callback(), flags.problems);
  print_warnings(task.source());
  if (!task.data().left_out.empty()) {
    progress.line(left_out_line(task.data().left_out));
  }
  Window window(
      task.model().parameters(), {.on_nonfinite = options.on_nonfinite});
  MemoryPlan plan = plan_memory(
      task, window, {.everything = true, .tick = progress.callback()});
  PlanSummary summary =
      summarize(task, window, plan, flags.call.price_per_hour);
  if (flags.call.json) {
    fmt::print("{}\n", to_json(task, plan, summary).dump());
  } else {
    print_plan(task, plan, summary);
  }
  return 0;
}

} // namespace accrue::cli
