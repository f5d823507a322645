#include "train/trainer.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "core/clock.h"
#include "io/files.h"
#include "memory/budget.h"
#include "memory/meter.h"
#include "memory/retreat.h"
#include "models/checkpoint.h"
#include "report/step_files.h"
#include "train/checkpoint.h"
#include "train/describe.h"
#include "train/interrupt.h"
#include "train/result.h"
#include "train/run_lock.h"
#include "train/validation.h"
#include "train/watch.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

/// One run from start or resume to its end.
class Run {
 public:
  Run(Task& task,
      report::Progress& progress,
      const OnStep& on_step,
      const std::string& fit_table,
      Clock::time_point started)
      : task_(task),
        options_(task.options()),
        progress_(progress),
        on_step_(on_step),
        fit_table_(fit_table),
        started_(started),
        out_(options_.out),
        checkpoints_(out_ / "checkpoints", task.source()),
        window_(
            task.model().parameters(),
            {.on_nonfinite = options_.on_nonfinite}),
        validation_(task, out_) {}

  TrainSummary run() {
    InterruptGuard interrupt;
    int64_t step = start();
    report::StepFiles files(out_, step, options_.tensorboard);
    for (const auto& done : report::read_metrics(out_ / "metrics.jsonl")) {
      validation_.recall(done);
      watch_.look(done);
    }
    auto started = Clock::now();
    const int64_t first = step;
    const int64_t total = task_.total_steps();
    int signal = 0;
    bool out_of_time = false;
    while (step < total && signal == 0 && !out_of_time &&
           !validation_.stops()) {
      report::StepMetrics m = run_step(step);
      ++step;
      evaluate(m);
      lock_->check();
      validation_.note(m);
      files.append(m);
      double pace = seconds_since(started) / static_cast<double>(step - first);
      progress_.line(report::step_line(
          m, total, pace * static_cast<double>(total - step)));
      on_step_(m);
      note_loss(m.loss);
      // Read once: a signal that comes later waits for the next window.
      signal = interrupt.signal();
      out_of_time = options_.max_time &&
          seconds_since(started_) >= options_.max_time->value;
      bool due = options_.checkpoint_every > 0 &&
          step % options_.checkpoint_every == 0;
      if (due || step == total || signal != 0 || out_of_time ||
          validation_.stops()) {
        checkpoints_.save(
            step,
            inputs_,
            task_.model(),
            *optimizer_,
            options_.keep_checkpoints);
      }
    }
    summary_.steps = step;
    summary_.total_steps = total;
    summary_.signal = step < total ? signal : 0;
    summary_.out_of_patience = step < total && validation_.stops();
    summary_.out_of_time =
        step < total && signal == 0 && out_of_time && !summary_.out_of_patience;
    summary_.best = validation_.best();
    if (summary_.signal == 0) {
      if (options_.keep_best) {
        progress_.line(validation_.restore_best(step));
      }
      save_result(task_);
    }
    write_report(options_.out);
    summary_.seconds = seconds_since(started);
    summary_.resident_peak_bytes = memory::peak_resident_bytes();
    return summary_;
  }

 private:
  /// What a resumed run must find as it was.
  RunInputs inputs() const {
    RunInputs inputs{.num_samples = task_.train_set().size(), .digests = {}};
    auto& digests = inputs.digests;
    digests["the training data"] = task_.train_set().digest();
    if (task_.valid_set() != nullptr) {
      digests["the validation data"] = task_.valid_set()->digest();
    }
    if (task_.model().lora()) {
      digests["the model's weights"] = digest_checkpoint(task_.source().base);
    }
    if (task_.is_preference()) {
      digests[references_.filename().string()] =
          io::to_text(io::digest_file(references_));
    }
    return inputs;
  }

  /// Prepares the run directory. Returns the number of steps already done.
  int64_t start() {
    plan();
    optimizer_ = task_.make_optimizer();
    lock();
    int64_t step = 0;
    const bool resumes = options_.resume && checkpoints_.any();
    if (options_.resume && !resumes) {
      progress_.line("no checkpoint to resume from yet: beginning the run");
    }
    if (resumes) {
      inputs_ = inputs();
      std::vector<std::string> warnings;
      step = checkpoints_.load_newest(
          inputs_, task_.model(), *optimizer_, warnings);
      for (const std::string& warning : warnings) {
        progress_.line("warning: " + warning);
      }
      progress_.line(fmt::format("resuming after step {}", step));
    }
    without_gradients("a pair", [&](int64_t tokens) {
      task_.prepare_references(
          references_, resumes, tokens, progress_.callback());
    });
    if (!resumes) {
      inputs_ = inputs();
    }
    io::write_file(out_ / "config.toml", to_toml(options_));
    if (plan_) {
      io::write_file(fit_table_path(options_), to_json(task_, plan_->table));
    }
    describe(task_, manner_.now(), progress_);
    return step;
  }

  /// Planning takes a while, so another run may have begun since the settings
  /// were checked.
  void lock() {
    lock_.emplace(out_);
    if (!options_.resume && !is_unused(out_)) {
      throw ConfigError(fmt::format(
          "[config] another run began in --out {} in the meantime. Choose "
          "another folder, or pass --resume to go on with it.",
          out_.string()));
    }
  }

  void plan() {
    memory::Way way{
        .micro_batch = options_.micro_batch.value_or(0),
        .checkpointing = options_.checkpointing == Checkpointing::kOn};
    if (!needs_plan(options_)) {
      memory::hold_to_budget(task_.budget_bytes(), memory::program_bytes());
    } else {
      plan_ = plan_memory(
          task_, window_, {.known = fit_table_, .tick = progress_.callback()});
      way = plan_->way;
      summary_.predicted_peak_bytes = plan_->peak_bytes;
      summary_.unsplit_bytes = plan_->unsplit_bytes;
      progress_.line(fmt::format(
          "memory       budget {}; unsplit would need {}; micro-batch of "
          "{}{}: {}",
          format_bytes(plan_->budget_bytes),
          format_bytes(plan_->unsplit_bytes),
          plan_->way.micro_batch,
          plan_->way.checkpointing ? " with checkpointing" : "",
          format_bytes(plan_->peak_bytes)));
    }
    manner_ = memory::Retreat(task_.manner(way));
    summary_.checkpointing = way.checkpointing;
    summary_.micro_batch = std::min(way.micro_batch, task_.global_batch());
  }

  report::StepMetrics run_step(int64_t step) {
    auto started = Clock::now();
    memory::reset_peak();
    optimizer_->set_learning_rate(task_.learning_rate(step));
    report::StepMetrics m{
        .step = step + 1,
        .lr = optimizer_->learning_rate(),
        .samples = task_.window_range(step).size()};
    while (!run_window(step, m)) {
      ++m.rollbacks;
    }
    StepReport report = normalize(step);
    m.loss = report.loss;
    m.grad_norm = report.grad_norm;
    if (task_.is_preference()) {
      m.reward_margin = pairs_.margin / report.weight;
      m.reward_accuracy = pairs_.accuracy / report.weight;
    }
    warn(m); // while the weights are those of its losses
    if (report.weight > 0) {
      optimizer_->step(window_.gradients());
    }
    window_.begin();
    m.step_s = seconds_since(started);
    m.tokens_per_s = static_cast<double>(m.tokens) / m.step_s;
    m.peak_bytes = memory::peak_bytes();
    m.resident_peak_bytes = memory::peak_resident_bytes();
    manner_.window_done();
    return m;
  }

  /// Adds a whole window. Out of memory is no end: the window is forgotten,
  /// and false says that it has to be done again, in a smaller manner.
  bool run_window(int64_t step, report::StepMetrics& m) {
    std::vector<Range> parts =
        task_.cut(task_.window_range(step), manner_.now());
    m.micro_batch = m.tokens = m.target_tokens = m.skipped = 0;
    pairs_ = {};
    m.accumulation_steps = static_cast<int64_t>(parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      try {
        add(parts[i], step, m);
      } catch (const c10::OutOfMemoryError& error) {
        window_.begin();
        give_way(parts[i], step, error);
        return false;
      }
      m.micro_batch = std::max(m.micro_batch, parts[i].size());
      progress_.update(fmt::format("step {}", step + 1), i + 1, parts.size());
    }
    return true;
  }

  /// What ran out of memory is done in halves, or with checkpointing.
  void give_way(Range part, int64_t step, const c10::OutOfMemoryError& error) {
    int64_t tokens = 0;
    for (int64_t length : task_.lengths(part)) {
      tokens += length;
    }
    const Manner& manner = manner_.now();
    Manner smaller = manner;
    if (part.size() > 1) {
      smaller.max_tokens = (tokens + 1) / 2;
    } else if (
        !manner.checkpointing &&
        options_.checkpointing == Checkpointing::kAuto) {
      smaller.checkpointing = true;
    } else {
      throw MemoryError(fmt::format(
          "[memory] sample {} ({} tokens) does not fit, alone{}: {} Raise "
          "--memory, shorten --seq-len{} or use --dtype bf16. The checkpoints "
          "are as they were.",
          task_.sample_at(part.begin).id,
          tokens,
          manner.checkpointing ? " and with checkpointing" : "",
          error.what_without_backtrace(),
          manner.checkpointing ? "" : ", pass --checkpointing auto"));
    }
    progress_.line(fmt::format(
        "step {}: out of memory with {} tokens at once; the window is done "
        "again {}",
        step + 1,
        tokens,
        smaller.checkpointing == manner.checkpointing
            ? fmt::format("in pieces of up to {}", smaller.max_tokens)
            : "with checkpointing"));
    manner_.to(smaller);
  }

  /// A micro-batch that is not finite is done again sample by sample, so that
  /// what is left out does not depend on the split.
  void add(Range part, int64_t step, report::StepMetrics& m) {
    if (try_add(part, step, m)) {
      return;
    }
    for (int64_t i = part.begin; i < part.end; ++i) {
      bool kept = part.size() > 1 && try_add({i, i + 1}, step, m);
      m.skipped += kept ? 0 : 1;
    }
  }

  /// The window knows the micro-batch, this place knows its samples.
  bool try_add(Range part, int64_t step, report::StepMetrics& m) {
    MicroLoss micro = task_.loss(part, step, manner_.now().checkpointing);
    try {
      if (!window_.add(micro.loss)) {
        return false;
      }
      m.tokens += micro.tokens;
      m.target_tokens += micro.target_tokens;
      pairs_.margin += micro.pairs.margin;
      pairs_.accuracy += micro.pairs.accuracy;
      return true;
    } catch (const NonFiniteError& error) {
      std::string ids;
      for (int64_t i = part.begin; i < part.end; ++i) {
        ids += fmt::format(" {}", task_.sample_at(i).id);
      }
      throw_nonfinite(error, step, fmt::format(", samples{}", ids));
    }
  }

  StepReport normalize(int64_t step) {
    try {
      return window_.normalize({.clip_norm = options_.clip_norm});
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
      without_gradients("a validation sample", [&](int64_t tokens) {
        ValidLoss mean = task_.valid_loss(tokens, progress_.callback());
        m.valid_loss = mean.loss;
        if (task_.is_preference()) {
          m.valid_reward_margin = mean.pairs.margin;
          m.valid_reward_accuracy = mean.pairs.accuracy;
        }
      });
    }
  }

  void warn(report::StepMetrics& m) {
    m.warnings = watch_.look(m);
    for (std::string& warning : m.warnings) {
      warning += "; " + worst_samples(task_, m.step - 1);
      progress_.line(fmt::format("warning: step {}: {}", m.step, warning));
    }
  }

  /// Passes without gradients, with fewer tokens at once if they don't fit.
  void without_gradients(
      const char* what,
      const std::function<void(int64_t tokens)>& work) const {
    int64_t tokens = std::min(manner_.now().max_tokens, kEvaluationTokens);
    for (;; tokens /= 2) {
      try {
        return work(tokens);
      } catch (const c10::OutOfMemoryError& error) {
        if (tokens <= 1) {
          throw MemoryError(fmt::format(
              "[memory] {} does not fit, alone: {} Raise --memory or shorten "
              "--seq-len.",
              what,
              error.what_without_backtrace()));
        }
      }
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
  const std::string& fit_table_;
  const Clock::time_point started_; // of the command
  fs::path out_;
  fs::path references_ = out_ / "reference.safetensors"; // of preferences
  std::optional<RunLock> lock_;
  RunInputs inputs_;
  Checkpoints checkpoints_;
  std::unique_ptr<Optimizer> optimizer_;
  Window window_;
  std::optional<MemoryPlan> plan_;
  memory::Retreat<Manner> manner_;
  PairSums pairs_; // of this window
  Validation validation_;
  Watch watch_;
  TrainSummary summary_;
};

} // namespace

bool needs_plan(const TrainOptions& options) {
  // A micro-batch given without a budget is taken as it is.
  return options.memory || !options.micro_batch;
}

TrainSummary train(
    Task& task,
    report::Progress& progress,
    const OnStep& on_step,
    const std::string& fit_table,
    Clock::time_point started) {
  return Run(task, progress, on_step, fit_table, started).run();
}

} // namespace accrue
