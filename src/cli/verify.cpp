// SPDX-License-Identifier: Apache-2.0
#include "run/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "accrue/core/units.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/threads.h"
#include "io/json.h"
#include "objectives/batch.h"
#include "run/probe.h"

namespace accrue::cli {
namespace {

io::OrderedJson to_json(
    const Verification& v,
    const drive::MicroBatching& batching) {
  io::OrderedJson json;
  json["reference"] = v.reference;
  json["reference_micro_batch"] = v.reference_micro_batch;
  json["micro_batch"] = batching.max_samples;
  json["checkpointing"] = batching.recompute;
  json["loss"] = v.loss;
  json["reference_loss"] = v.reference_loss;
  json["passed"] = v.passed();
  for (const TensorCheck& check : v.tensors) {
    json["tensors"].push_back(
        {{"name", check.name},
         {"relative_error", check.relative_error},
         {"gate", check.gate},
         {"passed", check.passed()},
         {"bits_equal", check.bits_equal}});
  }
  return json;
}

/// Prints the outcome in one line.
void print_verdict(
    const Verification& v,
    const drive::MicroBatching& batching) {
  const auto equal = std::ranges::count_if(
      v.tensors, [](const TensorCheck& check) { return check.bits_equal; });
  fmt::print(
      "{}: micro-batch {}{} against {}: loss {:.10f} against {:.10f}; bits "
      "equal in {} of {} tensors\n",
      v.passed() ? "passed" : "FAILED",
      batching.max_samples,
      batching.recompute ? " with checkpointing" : "",
      v.reference,
      v.loss,
      v.reference_loss,
      equal,
      v.tensors.size());
}

/// Prints all tensors in the model's order, or else the few with the largest
/// error in terms of their gate.
void print_tensors(const Verification& v, bool all) {
  constexpr size_t kWorst = 5;
  std::vector<TensorCheck> shown = v.tensors;
  if (!all && shown.size() > kWorst) {
    auto error = [](const TensorCheck& check) {
      const double ratio = check.relative_error / check.gate;
      return std::isnan(ratio) ? HUGE_VAL : ratio;
    };
    std::ranges::stable_sort(shown, std::greater<>(), error);
    shown.resize(kWorst);
  }
  fmt::print(
      "\n{:<44} {:>10} {:>10}  bits\n",
      fmt::format("gradient, against {}", v.reference),
      "rel. error",
      "gate");
  for (const TensorCheck& check : shown) {
    fmt::print(
        "{:<44} {:>10.2e} {:>10.2e}  {}{}\n",
        check.name,
        check.relative_error,
        check.gate,
        check.bits_equal ? "equal" : "differ",
        check.passed() ? "" : "  BEYOND THE GATE");
  }
  if (shown.size() < v.tensors.size()) {
    fmt::print(
        "the worst {} of {} tensors; --all shows every one\n",
        shown.size(),
        v.tensors.size());
  }
}

/// Returns the ways of running the window that the plan is compared with: per
/// sample, and unsplit where that fits the budget. Otherwise adds to `json` why
/// not. They run without checkpointing, where they fit without.
std::vector<drive::MicroBatching> choose_references(
    const Task& task,
    const MemoryPlan& plan,
    report::Progress& progress,
    io::OrderedJson& json) {
  const bool recompute = !plan.table.measured(false);
  // The two results that are compared are held beside the gradients.
  uint64_t needed = plan.unsplit_bytes;
  for (const at::Tensor& parameter : task.model().parameters()) {
    needed += 2 * parameter.nbytes();
  }
  if (needed <= plan.budget_bytes) {
    return {{task.global_batch(), recompute}, {1, recompute}};
  }
  progress.line(fmt::format(
      "comparing with the unsplit window would need {}, more than the budget "
      "of {}; comparing per sample only",
      format_bytes(needed),
      format_bytes(plan.budget_bytes)));
  json["left_out"].push_back(
      {{"reference", "unsplit"},
       {"needed_bytes", needed},
       {"budget_bytes", plan.budget_bytes}});
  return {{1, recompute}};
}

} // namespace

int run_verify(const std::vector<std::string>& arguments) {
  ParsedFlags flags = parse_flags(
      "verify",
      "One window split as planned against the same window unsplit (where "
      "that fits the budget) and per sample. Exit code 1 beyond the gate.",
      arguments);
  const TrainOptions& options = flags.options;
  const Threads threads(options.threads);
  report::Progress progress(progress_stream(flags.call.json), flags.call.quiet);
  Task task(options, /*needs_out=*/false, progress.callback(), flags.problems);
  print_warnings(task.source());
  if (!task.data().left_out.empty()) {
    progress.line(left_out_line(task.data().left_out));
  }
  MemoryPlan plan = [&] {
    Window window(task.model().parameters());
    return plan_memory(task, window, {.tick = progress.callback()});
  }();
  io::OrderedJson json;
  const std::vector<drive::MicroBatching> references =
      choose_references(task, plan, progress, json);
  task.objective().prepare(
      {.model = task.model(),
       .data = task.datasets(),
       .max_tokens = kEvaluationTokens,
       .tick = progress.callback()});
  std::vector<Verification> results;
  results.reserve(references.size());
  for (const drive::MicroBatching& reference : references) {
    results.push_back(verify(task, plan.batching, reference, progress));
  }
  const bool passed = std::ranges::all_of(
      results, [](const Verification& result) { return result.passed(); });
  if (flags.call.json) {
    for (const Verification& result : results) {
      json["checks"].push_back(to_json(result, plan.batching));
    }
    json["passed"] = passed;
    fmt::print("{}\n", json.dump());
    return passed ? 0 : 1;
  }
  for (const Verification& result : results) {
    print_verdict(result, plan.batching);
  }
  for (const Verification& result : results) {
    print_tensors(result, flags.call.all);
  }
  return passed ? 0 : 1;
}

} // namespace accrue::cli
