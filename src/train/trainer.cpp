#include "train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <sstream>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "io/files.h"
#include "io/toml.h"
#include "memory/meter.h"
#include "report/html.h"
#include "train/checkpoint.h"
#include "train/interrupt.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

/// One run from start or resume to its end.
class Run {
 public:
  Run(Task& task, report::Progress& progress, const OnStep& on_step)
      : task_(task),
        options_(task.options()),
        progress_(progress),
        on_step_(on_step),
        out_(options_.out),
        checkpoints_(out_ / "checkpoints"),
        optimizer_(task.make_optimizer()),
        window_(
            task.model().parameters(),
            {.on_nonfinite = options_.on_nonfinite}) {}

  TrainSummary run() {
    InterruptGuard interrupt;
    int64_t step = start();
    report::MetricsFile metrics(out_ / "metrics.jsonl", step);
    auto started = steady_clock::now();
    const int64_t first = step;
    const int64_t total = task_.total_steps();
    int signal = 0;
    while (step < total && signal == 0) {
      report::StepMetrics m = run_step(step);
      ++step;
      evaluate(m);
      metrics.append(m);
      double pace = seconds_since(started) / static_cast<double>(step - first);
      progress_.line(report::step_line(
          m, total, pace * static_cast<double>(total - step)));
      on_step_(m);
      note_loss(m.loss);
      // Read once: a signal that comes later waits for the next window.
      signal = interrupt.signal();
      bool due = options_.checkpoint_every > 0 &&
          step % options_.checkpoint_every == 0;
      if (due || step == total || signal != 0) {
        checkpoints_.save(
            step,
            task_.train_set().size(),
            task_.model(),
            *optimizer_,
            options_.keep_checkpoints);
      }
    }
    if (step >= total) {
      save_model(out_ / "model", task_.model());
    }
    write_report(options_.out);
    summary_.steps = step;
    summary_.signal = step < total ? signal : 0;
    summary_.seconds = seconds_since(started);
    summary_.resident_peak_bytes = memory::peak_resident_bytes();
    return summary_;
  }

 private:
  /// Prepares the run directory. Returns the number of steps already done.
  int64_t start() {
    int64_t step = 0;
    if (options_.resume) {
      std::vector<std::string> warnings;
      step = checkpoints_.load_newest(
          task_.train_set().size(), task_.model(), *optimizer_, warnings);
      for (const std::string& warning : warnings) {
        progress_.line("warning: " + warning);
      }
      progress_.line(fmt::format("resuming after step {}", step));
    }
    plan();
    io::make_directory(out_);
    TrainOptions resolved = options_;
    resolved.micro_batch = micro_batch_;
    io::write_file(out_ / "config.toml", to_toml(resolved));
    describe();
    return step;
  }

  /// A micro-batch given without a budget needs no probe.
  void plan() {
    micro_batch_ = std::min(
        options_.micro_batch.value_or(task_.global_batch()),
        task_.global_batch());
    if (!options_.micro_batch || options_.memory) {
      MemoryPlan plan = plan_memory(task_, window_);
      micro_batch_ = plan.micro_batch;
      summary_.unsplit_bytes = plan.unsplit_bytes;
      progress_.line(fmt::format(
          "memory       budget {}; unsplit would need {}; micro-batch of "
          "{}: {}",
          format_bytes(plan.budget_bytes),
          format_bytes(plan.unsplit_bytes),
          micro_batch_,
          format_bytes(plan.line.peak(micro_batch_))));
    }
    summary_.micro_batch = micro_batch_;
  }

  void describe() {
    progress_.line(fmt::format(
        "model        {} parameters in {} tensors, {}",
        format_count(static_cast<double>(task_.model().num_parameters())),
        task_.model().named_parameters().size(),
        EnumNames<Dtype>::values[static_cast<size_t>(options_.dtype)]));
    progress_.line(fmt::format(
        "data         {} samples of up to {} tokens{}{}",
        task_.train_set().size(),
        task_.train_set().max_length(),
        task_.valid_set()
            ? fmt::format(", {} for validation", task_.valid_set()->size())
            : "",
        task_.skipped_lines() > 0
            ? fmt::format(", {} bad lines skipped", task_.skipped_lines())
            : ""));
    progress_.line(fmt::format(
        "global batch {} samples = {} x {}, {} steps",
        task_.global_batch(),
        num_micro_batches(task_.global_batch(), micro_batch_),
        micro_batch_,
        task_.total_steps()));
  }

  report::StepMetrics run_step(int64_t step) {
    auto started = steady_clock::now();
    memory::reset_peak();
    Range range = task_.window_range(step);
    optimizer_->set_learning_rate(task_.learning_rate(step));
    report::StepMetrics m{
        .step = step + 1,
        .lr = optimizer_->learning_rate(),
        .samples = range.size(),
        .micro_batch = micro_batch_};
    std::vector<Range> parts = split_range(range.size(), micro_batch_);
    for (size_t i = 0; i < parts.size(); ++i) {
      Range part{range.begin + parts[i].begin, range.begin + parts[i].end};
      add(part, step, m);
      progress_.passing(fmt::format("step {}", step + 1), i + 1, parts.size());
    }
    StepReport report = commit(step);
    m.loss = report.loss;
    m.grad_norm = report.grad_norm;
    m.target_tokens = static_cast<int64_t>(report.weight);
    m.accumulation_steps = static_cast<int64_t>(parts.size());
    m.step_s = seconds_since(started);
    m.tokens_per_s = static_cast<double>(m.tokens) / m.step_s;
    m.peak_bytes = memory::peak_bytes();
    m.resident_peak_bytes = memory::peak_resident_bytes();
    return m;
  }

  /// A micro-batch that is not finite is done again sample by sample, so that
  /// what is left out does not depend on the split.
  void add(Range part, int64_t step, report::StepMetrics& m) {
    LossSum loss = task_.loss(part, step);
    m.tokens += static_cast<int64_t>(loss.weight.value);
    if (try_add(loss, part, step)) {
      return;
    }
    for (int64_t i = part.begin; i < part.end; ++i) {
      Range sample{i, i + 1};
      bool kept =
          part.size() > 1 && try_add(task_.loss(sample, step), sample, step);
      m.skipped += kept ? 0 : 1;
    }
  }

  /// The window knows the micro-batch, this place knows its samples.
  bool try_add(const LossSum& loss, Range part, int64_t step) {
    try {
      return window_.add(loss);
    } catch (const NonFiniteError& error) {
      std::string ids;
      for (int64_t i = part.begin; i < part.end; ++i) {
        ids += fmt::format(" {}", task_.sample_at(i).id);
      }
      throw_nonfinite(error, step, fmt::format(", samples{}", ids));
    }
  }

  StepReport commit(int64_t step) {
    try {
      return window_.commit(*optimizer_, {.clip_norm = options_.clip_norm});
    } catch (const NonFiniteError& error) {
      throw_nonfinite(error, step, "");
    }
  }

  [[noreturn]] static void throw_nonfinite(
      const NonFiniteError& error,
      int64_t step,
      const std::string& where) {
    throw NonFiniteError(fmt::format(
        "{} Step {}{}. --on-nonfinite skip goes on without such samples; "
        "the checkpoints are as they were.",
        error.what(),
        step + 1,
        where));
  }

  void evaluate(report::StepMetrics& m) {
    bool due = m.step == task_.total_steps() ||
        (options_.eval_every > 0 && m.step % options_.eval_every == 0);
    if (task_.valid_set() != nullptr && due) {
      m.valid_loss = task_.valid_loss(micro_batch_, progress_.ticker());
    }
  }

  void note_loss(double loss) {
    if (!summary_.first_loss) {
      summary_.first_loss = loss;
    }
    summary_.last_loss = loss;
  }

  Task& task_;
  const TrainOptions& options_;
  report::Progress& progress_;
  const OnStep& on_step_;
  fs::path out_;
  Checkpoints checkpoints_;
  std::unique_ptr<Optimizer> optimizer_;
  Window window_;
  int64_t micro_batch_ = 0;
  TrainSummary summary_;
};

/// A setting as people write it.
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

TrainSummary train(
    Task& task,
    report::Progress& progress,
    const OnStep& on_step) {
  return Run(task, progress, on_step).run();
}

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
