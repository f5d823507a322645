// SPDX-License-Identifier: Apache-2.0
#include "run/options.h"
#include "accrue/device/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "run/option_check.h"
#include "run/option_table.h"
#include "run/option_text.h"

namespace accrue {
namespace {

using option_text::to_toml;

std::string key(std::string_view flag) {
  std::string key(flag);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

/// Returns the number of processes that an MPI launcher has started.
int64_t launched_ranks() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* value = std::getenv(name)) {
      return std::atoll(value);
    }
  }
  return 1;
}

void check_steps(const TrainOptions& o, Problems& problems) {
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
}

void check_validation(const TrainOptions& o, Problems& problems) {
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
}

void check_fine_tuning(const TrainOptions& o, Problems& problems) {
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
}

void check_ranks(const TrainOptions& o, Problems& problems) {
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

void check_device(const std::string& device, Problems& problems) {
  if (!parse_device(device)) {
    problems.add(fmt::format(
        "--device must be cpu, cuda or cuda:N, got \"{}\"", device));
  }
}

} // namespace

void check_options(const TrainOptions& o, bool needs_out, Problems& problems) {
  option_check::check_rows(
      [&](auto&& visitor) {
        visit_settings(o, visitor);
        visit_invocation(o, visitor);
      },
      problems);
  if (!o.global_batch && !o.global_batch_tokens) {
    problems.add("--global-batch (or --global-batch-tokens) is required");
  }
  if (needs_out && o.out.empty()) {
    problems.add("--out is required");
  }
  check_device(o.device, problems);
  check_steps(o, problems);
  check_validation(o, problems);
  check_fine_tuning(o, problems);
  check_ranks(o, problems);
}

std::string to_toml(const TrainOptions& options) {
  std::string text =
      "# Every setting of this run; `accrue train --config` repeats it.\n";
  auto section = [&](const char* title, auto visit) {
    text += fmt::format("\n# {}\n", title);
    visit(options, [&](const OptionRow& row, const auto& field) {
      if (std::string value = to_toml(field); !value.empty()) {
        text += fmt::format("{} = {}\n", key(row.name), value);
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
    visit_logical(options, [&](const OptionRow& row, const auto& field) {
      list.emplace_back(row.name, to_toml(field));
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
