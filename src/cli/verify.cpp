#include "train/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/units.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/waiting.h"
#include "io/json.h"
#include "train/probe.h"

namespace accrue::cli {
namespace {

io::OrderedJson to_json(const Verification& v, const memory::Way& way) {
  io::OrderedJson json;
  json["reference"] = v.reference;
  json["reference_micro_batch"] = v.reference_micro_batch;
  json["micro_batch"] = way.micro_batch;
  json["checkpointing"] = way.checkpointing;
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

void print(const Verification& v, const memory::Way& way) {
  fmt::print(
      "\nmicro-batch {}{} against {}\n{:<44} {:>10} {:>10}  bits\n",
      way.micro_batch,
      way.checkpointing ? " with checkpointing" : "",
      v.reference,
      "gradient of",
      "rel. error",
      "gate");
  size_t equal = 0;
  for (const TensorCheck& check : v.tensors) {
    fmt::print(
        "{:<44} {:>10.2e} {:>10.2e}  {}{}\n",
        check.name,
        check.relative_error,
        check.gate,
        check.bits_equal ? "equal" : "differ",
        check.passed() ? "" : "  BEYOND THE GATE");
    equal += check.bits_equal ? 1 : 0;
  }
  fmt::print(
      "loss {:.10f} against {:.10f}; bits equal in {} of {} tensors: {}\n",
      v.loss,
      v.reference_loss,
      equal,
      v.tensors.size(),
      v.passed() ? "passed" : "FAILED");
}

} // namespace

int run_verify(const std::vector<std::string>& arguments) {
  ParsedFlags flags = parse_flags(
      "verify",
      "One window split as planned against the same window unsplit (where "
      "that fits the budget) and per sample. Exit code 1 beyond the gate.",
      arguments);
  const TrainOptions& options = flags.options;
  set_threads(options.threads);
  const Waiting waiting;
  report::Progress progress(people(options), options.quiet);
  Task task(options, /*needs_out=*/false, progress.callback(), flags.problems);
  print_warnings(task.source());
  if (!task.left_out().empty()) {
    progress.line(left_out_line(task.left_out()));
  }
  MemoryPlan plan = [&] {
    Window window(task.model().parameters());
    return plan_memory(task, window, {.tick = progress.callback()});
  }();
  // References without checkpointing, where they fit.
  const bool checkpointing = !plan.table.measured(false);
  std::vector<memory::Way> references{{1, checkpointing}};
  io::OrderedJson json;
  // The two results that are compared are held beside the gradients.
  uint64_t copies = 0;
  for (const at::Tensor& parameter : task.model().parameters()) {
    copies += 2 * parameter.nbytes();
  }
  if (plan.unsplit_bytes + copies <= plan.budget_bytes) {
    references.insert(references.begin(), {task.global_batch(), checkpointing});
  } else {
    const uint64_t needed = plan.unsplit_bytes + copies;
    progress.line(fmt::format(
        "comparing with the unsplit window would need {}, more than the budget "
        "of {}; comparing per sample only",
        format_bytes(needed),
        format_bytes(plan.budget_bytes)));
    json["left_out"].push_back(
        {{"reference", "unsplit"},
         {"needed_bytes", needed},
         {"budget_bytes", plan.budget_bytes}});
  }
  task.prepare_references(
      /*file=*/"", /*load=*/false, kEvaluationTokens, progress.callback());
  bool passed = true;
  for (const memory::Way& reference : references) {
    Verification result =
        verify(task, plan.way, reference, progress.callback());
    passed = passed && result.passed();
    if (options.json) {
      json["checks"].push_back(to_json(result, plan.way));
    } else {
      print(result, plan.way);
    }
  }
  if (options.json) {
    json["passed"] = passed;
    fmt::print("{}\n", json.dump());
  }
  return passed ? 0 : 1;
}

} // namespace accrue::cli
