#include <fmt/format.h>

#include "accrue/core/units.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "io/json.h"
#include "train/probe.h"

namespace accrue::cli {
namespace {

struct Needs {
  uint64_t parameters = 0;
  uint64_t gradients = 0;
  uint64_t optimizer = 0;
  uint64_t program = 0; // code, libraries and their buffers
};

/// Six floating-point operations per parameter and token for forward and
/// backward, plus attention: 12 · layers · width · length / 2 when causal
/// (arXiv 2204.02311, appendix B).
double flops_per_token(const Task& task) {
  const ModelConfig& config = task.model().config();
  double attention = 6.0 *
      static_cast<double>(
                         config.num_layers * config.num_heads *
                         config.head_dim * task.train_set().max_length());
  return 6.0 * static_cast<double>(task.model().num_parameters()) + attention;
}

std::vector<int64_t> candidates(int64_t global_batch) {
  std::vector<int64_t> sizes;
  for (int64_t n = 1; n < global_batch; n *= 2) {
    sizes.push_back(n);
  }
  sizes.push_back(global_batch);
  return sizes;
}

void print_plan(
    const Task& task,
    const Needs& needs,
    const MemoryPlan& plan,
    double step_seconds) {
  auto row = [](const char* name, const std::string& value) {
    fmt::print("{:<34}{:>12}\n", name, value);
  };
  fmt::print(
      "{} parameters, {} samples of up to {} tokens, global batch {}\n\n",
      format_count(static_cast<double>(task.model().num_parameters())),
      task.train_set().size(),
      task.train_set().max_length(),
      task.global_batch());
  row("parameters", format_bytes(needs.parameters));
  row("gradients (accumulators)", format_bytes(needs.gradients));
  row("optimizer state", format_bytes(needs.optimizer));
  row("program and libraries", format_bytes(needs.program));
  row("activations per sample", format_bytes(plan.line.bytes_per_sample));
  row("budget", format_bytes(plan.budget_bytes));
  fmt::print("\n{:>11} {:>6} {:>12}\n", "micro-batch", "N", "peak");
  for (int64_t size : candidates(task.global_batch())) {
    fmt::print(
        "{:>11} {:>6} {:>12}{}\n",
        size,
        num_micro_batches(task.global_batch(), size),
        format_bytes(plan.line.peak(size)),
        plan.line.peak(size) > plan.budget_bytes ? "  beyond the budget" : "");
  }
  fmt::print(
      "\nchosen: micro-batch of {}, the largest within the budget and about {} "
      "tokens\n",
      plan.micro_batch,
      kEnoughTokens);
  double tokens = static_cast<double>(
      task.total_steps() * task.global_batch() * task.train_set().max_length());
  fmt::print(
      "{} steps, at most {} tokens, {} FLOPs, about {}\n",
      task.total_steps(),
      format_count(tokens),
      format_count(tokens * flops_per_token(task)),
      format_duration(step_seconds * static_cast<double>(task.total_steps())));
}

io::OrderedJson to_json(
    const Task& task,
    const Needs& needs,
    const MemoryPlan& plan,
    double step_seconds) {
  io::OrderedJson json;
  json["num_parameters"] = task.model().num_parameters();
  json["parameter_bytes"] = needs.parameters;
  json["gradient_bytes"] = needs.gradients;
  json["optimizer_bytes"] = needs.optimizer;
  json["program_bytes"] = needs.program;
  json["activation_bytes_per_sample"] = plan.line.bytes_per_sample;
  json["budget_bytes"] = plan.budget_bytes;
  json["unsplit_bytes"] = plan.unsplit_bytes;
  json["global_batch"] = task.global_batch();
  json["micro_batch"] = plan.micro_batch;
  json["accumulation_steps"] =
      num_micro_batches(task.global_batch(), plan.micro_batch);
  json["peak_bytes"] = plan.line.peak(plan.micro_batch);
  json["steps"] = task.total_steps();
  json["step_s"] = step_seconds;
  json["flops_per_token"] = flops_per_token(task);
  for (int64_t size : candidates(task.global_batch())) {
    json["rows"].push_back(
        {{"micro_batch", size},
         {"peak_bytes", plan.line.peak(size)},
         {"fits", plan.line.peak(size) <= plan.budget_bytes},
         {"chosen", size == plan.micro_batch}});
  }
  return json;
}

} // namespace

int run_plan(const std::vector<std::string>& arguments) {
  ParsedFlags flags = parse_flags(
      "plan",
      "What fits and what a run needs, from probes that are thrown away.",
      arguments);
  const TrainOptions& options = flags.options;
  set_threads(options);
  report::Progress progress(people(options), options.quiet);
  Task task(options, /*needs_out=*/false, progress.ticker(), flags.problems);
  Needs needs;
  for (const auto& [name, parameter] : task.model().named_parameters()) {
    needs.parameters += parameter.nbytes();
  }
  for (const at::Tensor& parameter : task.model().parameters()) {
    needs.gradients += parameter.nbytes(); // a tied embedding has its own
  }
  std::unique_ptr<Optimizer> optimizer = task.make_optimizer();
  for (const auto& [name, tensor] : optimizer->state()) {
    needs.optimizer += tensor.nbytes();
  }
  Window window(task.model().parameters());
  MemoryPlan plan = plan_memory(task, window);
  uint64_t tensors = needs.parameters + needs.gradients + needs.optimizer;
  needs.program =
      plan.line.fixed_bytes - std::min(tensors, plan.line.fixed_bytes);
  double step_seconds =
      plan.seconds_per_sample * static_cast<double>(task.global_batch());
  if (options.json) {
    fmt::print("{}\n", to_json(task, needs, plan, step_seconds).dump());
  } else {
    print_plan(task, needs, plan, step_seconds);
  }
  return 0;
}

} // namespace accrue::cli
