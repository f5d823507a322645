#include "train/options.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "accrue/core/error.h"
#include "train/option_table.h"
#include "train/option_text.h"

namespace accrue {
namespace {

using option_text::to_toml;

std::string key(std::string name) {
  for (char& c : name) {
    c = c == '-' ? '_' : c;
  }
  return name;
}

class Checker {
 public:
  explicit Checker(Problems& problems) : problems_(problems) {}

  template <class T>
  void at_least(const char* flag, const std::optional<T>& value, T bound) {
    if (value && !(*value >= bound)) {
      problems_.add(
          fmt::format("{} must be >= {}, got {}", flag, bound, *value));
    }
  }

  void in(const char* flag, double value, double low, double high) {
    if (!(value >= low && value < high)) {
      problems_.add(fmt::format(
          "{} must be in [{}, {}), got {}", flag, low, high, value));
    }
  }

  void exclusive(const char* a, bool has_a, const char* b, bool has_b) {
    if (has_a && has_b) {
      problems_.add(
          fmt::format("{} and {} contradict each other; give one", a, b));
    }
  }

  void required(bool given, const char* what) {
    if (!given) {
      problems_.add(fmt::format("{} is required", what));
    }
  }

 private:
  Problems& problems_;
};

using OptionalInt = std::optional<int64_t>;

void check_numbers(const TrainOptions& o, Checker& check) {
  constexpr double kInfinity = HUGE_VAL;
  check.at_least("--seq-len", o.seq_len, int64_t{1});
  check.at_least("--global-batch", o.global_batch, int64_t{1});
  check.at_least("--global-batch-tokens", o.global_batch_tokens, int64_t{1});
  check.at_least("--micro-batch", o.micro_batch, int64_t{1});
  check.at_least("--steps", o.steps, int64_t{1});
  check.at_least("--patience", o.patience, int64_t{1});
  check.at_least("--threads", OptionalInt(o.threads), int64_t{0});
  check.at_least("--warmup-steps", OptionalInt(o.warmup_steps), int64_t{0});
  check.at_least("--seed", OptionalInt(o.seed), int64_t{0});
  check.at_least(
      "--checkpoint-every", OptionalInt(o.checkpoint_every), int64_t{0});
  check.at_least(
      "--keep-checkpoints", OptionalInt(o.keep_checkpoints), int64_t{1});
  check.at_least("--eval-every", OptionalInt(o.eval_every), int64_t{0});
  check.in("--lr", o.lr, 0, kInfinity);
  check.in("--min-lr", o.min_lr, 0, kInfinity);
  check.in("--weight-decay", o.weight_decay, 0, kInfinity);
  check.in("--clip-norm", o.clip_norm, 0, kInfinity);
  check.in("--beta1", o.beta1, 0, 1);
  check.in("--beta2", o.beta2, 0, 1);
  check.in("--eps", o.eps, 0, kInfinity);
  check.in("--momentum", o.momentum, 0, 1);
  check.in("--dropout", o.dropout, 0, 1);
  check.at_least("--price-per-hour", o.price_per_hour, 0.0);
  check.at_least("--lora-rank", o.lora_rank, int64_t{1});
  check.at_least("--lora-alpha", o.lora_alpha, 0.0);
}

int64_t launched_ranks() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* value = std::getenv(name)) {
      return std::atoll(value);
    }
  }
  return 1;
}

} // namespace

void check_options(const TrainOptions& o, bool needs_out, Problems& problems) {
  Checker check(problems);
  check.required(!o.model.empty(), "--model");
  check.required(!o.data.empty(), "--data");
  check.required(
      o.global_batch || o.global_batch_tokens,
      "--global-batch (or --global-batch-tokens)");
  check.required(!needs_out || !o.out.empty(), "--out");
  check_numbers(o, check);
  check.exclusive(
      "--global-batch",
      o.global_batch.has_value(),
      "--global-batch-tokens",
      o.global_batch_tokens.has_value());
  check.exclusive(
      "--steps", o.steps.has_value(), "--epochs", o.epochs.has_value());
  check.exclusive(
      "--valid",
      !o.valid.empty(),
      "--valid-fraction",
      o.valid_fraction.has_value());
  if (o.epochs && !(*o.epochs > 0 && *o.epochs < 1e9)) {
    problems.add(fmt::format("--epochs must be > 0, got {}", *o.epochs));
  }
  if (o.max_time && !(o.max_time->value > 0)) {
    problems.add("--max-time must be > 0, e.g. 90s, 30m, 8h or 1h30m");
  }
  if (o.valid_fraction && !(*o.valid_fraction > 0 && *o.valid_fraction < 1)) {
    problems.add(fmt::format(
        "--valid-fraction must be between 0 and 1, got {}", *o.valid_fraction));
  }
  if (o.min_lr > o.lr) {
    problems.add(
        fmt::format("--min-lr ({}) must not exceed --lr ({})", o.min_lr, o.lr));
  }
  if (o.steps && o.warmup_steps > *o.steps) {
    problems.add(fmt::format(
        "--warmup-steps ({}) must not exceed --steps ({})",
        o.warmup_steps,
        *o.steps));
  }
  if (o.packing == Packing::kDocuments && o.seq_len == 1) {
    problems.add("--packing documents needs --seq-len >= 2");
  }
  if (o.global_batch_tokens && o.packing == Packing::kOff) {
    problems.add("--global-batch-tokens needs --packing on");
  }
  const bool validates = !o.valid.empty() || o.valid_fraction;
  if (o.eval_every > 0 && !validates) {
    problems.add("--eval-every needs --valid or --valid-fraction");
  }
  for (const auto& [flag, given] :
       {std::pair("--keep-best", o.keep_best),
        std::pair("--patience", o.patience.has_value())}) {
    if (given && !(validates && o.eval_every > 0)) {
      problems.add(fmt::format(
          "{} needs --eval-every, and --valid or --valid-fraction", flag));
    }
  }
  if (!(o.dpo_beta > 0)) {
    problems.add(fmt::format("--dpo-beta must be > 0, got {}", o.dpo_beta));
  }
  if (!o.lora_rank && (o.lora_alpha || !o.lora_targets.empty())) {
    problems.add("--lora-alpha and --lora-targets need --lora-rank");
  }
  if (!o.train_embeddings.empty() && !o.lora_rank) {
    problems.add(
        "--train-embeddings needs --lora-rank; without it all are trained");
  }
  if (o.objective == ObjectiveKind::kDpo &&
      o.train_on != TrainOn::kCompletion) {
    problems.add("--objective dpo always compares the answers: no --train-on");
  }
  if (o.objective == ObjectiveKind::kDpo && o.global_batch_tokens) {
    problems.add("--objective dpo counts pairs: give --global-batch");
  }
  if (o.shards != 1) {
    problems.add(
        fmt::format("--shards {} is not supported yet, only 1", o.shards));
  }
  if (int64_t ranks = launched_ranks(); ranks > 1) {
    problems.add(fmt::format(
        "started as one of {} ranks, but this version trains on one; run "
        "it without mpirun",
        ranks));
  }
}

std::string to_toml(const TrainOptions& options) {
  std::string text =
      "# Every setting of this run; `accrue train --config` repeats it.\n";
  auto section = [&](const char* title, auto visit) {
    text += fmt::format("\n# {}\n", title);
    visit(
        options,
        [&](const char* name, const auto& field, const char*, const char*) {
          if (std::string value = to_toml(field); !value.empty()) {
            text += fmt::format("{} = {}\n", key(name), value);
          }
        });
  };
  section(
      "What decides the result.", [](auto& o, auto v) { visit_logical(o, v); });
  section("How far to go.", [](auto& o, auto v) { visit_extent(o, v); });
  section("What decides only the time and what is kept.", [](auto& o, auto v) {
    visit_physical(o, v);
  });
  return text;
}

std::vector<std::string> logical_differences(
    const TrainOptions& a,
    const TrainOptions& b) {
  auto values = [](const TrainOptions& options) {
    std::vector<std::pair<std::string, std::string>> list;
    visit_logical(
        options,
        [&](const char* name, const auto& field, const char*, const char*) {
          list.emplace_back(name, to_toml(field));
        });
    return list;
  };
  auto before = values(a);
  auto after = values(b);
  std::vector<std::string> differences;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].second != after[i].second) {
      differences.push_back(fmt::format(
          "--{} was {}, now {}",
          before[i].first,
          before[i].second.empty() ? "not given" : before[i].second,
          after[i].second.empty() ? "not given" : after[i].second));
    }
  }
  return differences;
}

} // namespace accrue
