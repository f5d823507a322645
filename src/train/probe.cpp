#include "train/probe.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "accrue/core/version.h"
#include "core/clock.h"
#include "io/json.h"
#include "memory/budget.h"
#include "memory/meter.h"
#include "train/option_names.h"

namespace accrue {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kMiB = uint64_t{1} << 20;
/// Tokens in a micro-batch beyond which more samples at once are hardly faster
/// on a CPU, and from which on checkpointing can't be either.
constexpr int64_t kEnoughTokens = 4096;
constexpr int64_t kPlentyTokens = 1024;

/// Planning ends after three optimizer steps or this, whichever is more.
constexpr double kPlanningSeconds = 20;
constexpr double kPlanningSteps = 3;

class Prober {
 public:
  Prober(const Task& task, Window& window, const report::Tick& tick)
      : task_(task),
        window_(window),
        tick_(tick),
        length_(task.train_set().max_length()),
        started_(steady_clock::now()) {}

  /// What tensors and the program may take of the budget.
  uint64_t usable() const {
    return task_.budget_bytes() -
        std::min(task_.budget_bytes(), memory::kSafetyBytes);
  }

  memory::FitTable measure(bool everything) {
    Checkpointing wanted = task_.options().checkpointing;
    memory::hold_to_budget(task_.budget_bytes(), memory::program_bytes());
    if (everything || wanted != Checkpointing::kOn) {
      measure_sizes(/*checkpointing=*/false);
    }
    int64_t plenty = std::min(
        task_.global_batch(), std::max<int64_t>(1, kPlentyTokens / length_));
    bool constrained = table_.largest(false, usable()) < plenty;
    if (everything || wanted == Checkpointing::kOn ||
        (wanted == Checkpointing::kAuto && constrained)) {
      measure_sizes(/*checkpointing=*/true);
    }
    return std::move(table_);
  }

  /// Bytes that the process needs for one sample of the longest length, from
  /// shorter ones; only a lower bound if not even those fit.
  struct Need {
    uint64_t bytes = 0;
    int64_t fitting_length = 0; // 0 = none was found
  };
  Need need(bool checkpointing) {
    std::optional<memory::Probe> shorter;
    int64_t shorter_length = 0;
    for (int64_t length = std::max<int64_t>(1, length_ / 64);; length *= 2) {
      auto probe =
          length < length_ ? run({1, checkpointing}, length) : std::nullopt;
      if (!probe) {
        return extrapolate(shorter, shorter_length);
      }
      idle_bytes_ = memory::live_bytes();
      shorter = probe;
      shorter_length = length;
    }
  }

 private:
  /// One pass, or nothing if there is not enough memory for it.
  std::optional<memory::Probe> run(const memory::Way& way, int64_t length) {
    memory::reset_peak();
    auto start = steady_clock::now();
    try {
      if (!optimizer_) {
        optimizer_ = task_.make_optimizer(); // whose state takes memory
      }
      window_.add(
          task_.longest_loss(way.micro_batch, length, way.checkpointing));
    } catch (const c10::OutOfMemoryError&) {
      window_.begin();
      return std::nullopt;
    }
    memory::Probe probe{way, memory::peak_bytes(), seconds_since(start)};
    window_.begin();
    return probe;
  }

  /// As many passes as give a time worth comparing.
  std::optional<memory::Probe> timed(const memory::Way& way) {
    std::optional<memory::Probe> probe = run(way, length_);
    double total = probe ? probe->seconds : 0;
    int passes = 1;
    while (probe && total < kEnoughSeconds && passes < kMostPasses) {
      probe = run(way, length_);
      total += probe ? probe->seconds : 0;
      ++passes;
    }
    if (probe) {
      probe->seconds = total / passes;
    }
    return probe;
  }

  /// Growing sizes, each once before: pages are fresh the first time.
  void measure_sizes(bool checkpointing) {
    const int64_t limit = std::min(
        task_.global_batch(), std::max<int64_t>(1, kEnoughTokens / length_));
    memory::Way way{1, checkpointing};
    if (!run(way, length_)) {
      return;
    }
    if (!committed_) {
      measure_commit();
      // All code has run and all that stays was written: now it can be told.
      table_.program_bytes = memory::program_bytes();
      memory::hold_to_budget(task_.budget_bytes(), table_.program_bytes);
      if (!run(way, length_)) {
        return;
      }
    }
    table_.probes.push_back({{0, checkpointing}, memory::live_bytes(), 0});
    while (auto probe = timed(way)) {
      table_.probes.push_back(*probe);
      int64_t size = table_.next(way, usable(), limit);
      if (size == way.micro_batch || late(*probe, size)) {
        break;
      }
      way.micro_batch = size;
      if (!run(way, length_)) {
        break;
      }
      if (tick_) {
        tick_(
            "planning",
            static_cast<uint64_t>(size),
            static_cast<uint64_t>(limit));
      }
    }
  }

  /// Would two passes of `size` samples take planning beyond its time?
  bool late(const memory::Probe& probe, int64_t size) const {
    double sample_seconds =
        probe.seconds / static_cast<double>(probe.way.micro_batch);
    double step = sample_seconds * static_cast<double>(task_.global_batch());
    return seconds_since(started_) +
        2 * sample_seconds * static_cast<double>(size) >
        std::max(kPlanningSeconds, kPlanningSteps * step);
  }

  /// An update that changes nothing: learning rate 0, a state of no use.
  void measure_commit() {
    optimizer_->set_learning_rate(0);
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& parameter : optimizer_->parameters()) {
      gradients.push_back(parameter.grad());
    }
    {
      at::NoGradGuard no_grad;
      for (at::Tensor& gradient : gradients) {
        gradient.fill_(1); // 0 / 0 if epsilon is 0, too
      }
    }
    auto start = steady_clock::now();
    optimizer_->step(gradients);
    window_.begin();
    table_.commit_seconds = seconds_since(start);
    committed_ = true;
  }

  Need extrapolate(
      const std::optional<memory::Probe>& shorter,
      int64_t shorter_length) const {
    uint64_t fixed = memory::program_bytes() + memory::kSafetyBytes;
    if (!shorter) {
      return {
          .bytes = std::max(
              fixed + memory::live_bytes(), task_.budget_bytes() + kMiB)};
    }
    double per_token =
        static_cast<double>(shorter->tensor_bytes - idle_bytes_) /
        static_cast<double>(shorter_length);
    return {
        .bytes = fixed + idle_bytes_ +
            static_cast<uint64_t>(per_token * static_cast<double>(length_)),
        .fitting_length = shorter_length};
  }

  static constexpr double kEnoughSeconds = 0.3;
  static constexpr int kMostPasses = 8;

  const Task& task_;
  Window& window_;
  const report::Tick& tick_;
  int64_t length_;
  steady_clock::time_point started_;
  memory::FitTable table_;
  std::unique_ptr<Optimizer> optimizer_;
  bool committed_ = false;
  uint64_t idle_bytes_ = 0;
};

[[noreturn]] void does_not_fit(const Task& task, Prober& prober) {
  const TrainOptions& options = task.options();
  const bool may_checkpoint = options.checkpointing != Checkpointing::kOff;
  Prober::Need need = prober.need(may_checkpoint);
  uint64_t missing = need.bytes - std::min(need.bytes, task.budget_bytes());
  std::string ways = fmt::format(
      "Raise --memory to {:.0f}MiB",
      std::ceil(static_cast<double>(need.bytes) / static_cast<double>(kMiB)));
  if (!may_checkpoint) {
    Prober::Need less = prober.need(/*checkpointing=*/true);
    if (less.bytes < need.bytes) {
      ways += fmt::format(
          ", or pass --checkpointing auto (about {})",
          format_bytes(less.bytes));
    }
  }
  if (need.fitting_length > 0) {
    ways += fmt::format(
        ", or shorten samples (--seq-len {} fits)", need.fitting_length);
  }
  if (options.dtype != Dtype::kBf16) {
    ways += ", or pass --dtype bf16";
  }
  uint64_t longest = task.train_set().longest();
  throw MemoryError(fmt::format(
      "[memory] not even one sample fits: sample {}, the longest with {} "
      "tokens, needs {} {}, the budget is {}, {} are missing. {}.",
      task.train_set().sample(longest).id,
      task.train_set().max_length(),
      need.fitting_length > 0 ? "about" : "more than",
      format_bytes(need.bytes),
      format_bytes(task.budget_bytes()),
      format_bytes(missing),
      ways));
}

/// What a fit table depends on.
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
      {"version", ACCRUE_VERSION}};
}

/// As measuring leaves a table: of every way no samples, which take no time,
/// and one.
bool is_complete(const memory::FitTable& table) {
  return !table.probes.empty() &&
      std::all_of(
          table.probes.begin(),
          table.probes.end(),
          [&](const memory::Probe& probe) {
            return table.measured(probe.way.checkpointing) &&
                (probe.way.micro_batch > 0) == (probe.seconds > 0);
          });
}

/// Nothing for a table that can't be read: it is measured again.
std::optional<memory::FitTable> parse_fit_table(
    const Task& task,
    const std::string& text) {
  try {
    io::Json json = io::Json::parse(text);
    if (json.at("key") != table_key(task)) {
      return std::nullopt;
    }
    memory::FitTable table;
    table.program_bytes = json.at("program_bytes");
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

void check_fits(const MemoryPlan& plan) {
  if (plan.peak_bytes + memory::kSafetyBytes <= plan.budget_bytes) {
    return;
  }
  throw MemoryError(fmt::format(
      "[memory] --micro-batch {} needs {}, the budget is {}. The largest that "
      "fits is {}; leave the flag out to have it planned.",
      plan.way.micro_batch,
      format_bytes(plan.peak_bytes),
      format_bytes(plan.budget_bytes),
      plan.table.largest(
          plan.way.checkpointing, plan.budget_bytes - memory::kSafetyBytes)));
}

} // namespace

MemoryPlan plan_memory(
    const Task& task,
    Window& window,
    const PlanOptions& options) {
  Prober prober(task, window, options.tick);
  MemoryPlan plan;
  plan.budget_bytes = task.budget_bytes();
  auto known = parse_fit_table(task, options.known);
  plan.table = known ? *known : prober.measure(options.everything);
  const Checkpointing wanted = task.options().checkpointing;
  memory::FitTable allowed = plan.table;
  std::erase_if(allowed.probes, [&](const memory::Probe& probe) {
    return wanted !=
        (probe.way.checkpointing ? Checkpointing::kOn : Checkpointing::kOff) &&
        wanted != Checkpointing::kAuto;
  });
  auto fastest = allowed.fastest(prober.usable(), task.global_batch());
  if (!fastest) {
    does_not_fit(task, prober);
  }
  plan.way = *fastest;
  if (task.options().micro_batch) {
    plan.way.micro_batch =
        std::min(*task.options().micro_batch, task.global_batch());
    bool as_it_is = allowed.measured(false) &&
        allowed.peak({plan.way.micro_batch, false}) <= prober.usable();
    plan.way.checkpointing = !as_it_is && allowed.measured(true);
  }
  memory::hold_to_budget(plan.budget_bytes, plan.table.program_bytes);
  plan.peak_bytes = plan.table.peak(plan.way);
  plan.step_seconds = plan.table.step_seconds(plan.way, task.global_batch());
  plan.unsplit_bytes = plan.table.peak(
      {task.global_batch(), !plan.table.measured(/*checkpointing=*/false)});
  check_fits(plan);
  return plan;
}

std::string to_json(const Task& task, const memory::FitTable& table) {
  io::OrderedJson json;
  json["key"] = table_key(task);
  json["program_bytes"] = table.program_bytes;
  json["commit_seconds"] = table.commit_seconds;
  for (const memory::Probe& probe : table.probes) {
    json["probes"].push_back(
        {{"micro_batch", probe.way.micro_batch},
         {"checkpointing", probe.way.checkpointing},
         {"tensor_bytes", probe.tensor_bytes},
         {"seconds", probe.seconds}});
  }
  return json.dump(2) + "\n";
}

} // namespace accrue
