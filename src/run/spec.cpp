// SPDX-License-Identifier: Apache-2.0
#include "run/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <sstream>

#include "run/run_lock.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

void check_model(RunSpec& spec, Problems& problems) {
  try {
    spec.source = find_model(spec.options.model);
    read_stop_tokens(spec.source.folder()); // a run must not fail at its end
  } catch (const DataError&) {
    problems.throw_if_any<ConfigError>("config");
    throw;
  }
  int64_t positions = spec.source.config.max_positions;
  if (!spec.options.seq_len) {
    spec.options.seq_len = std::min(positions, kDefaultSeqLen);
  } else if (*spec.options.seq_len > positions) {
    problems.add(fmt::format(
        "--seq-len {} exceeds the {} positions of {}",
        *spec.options.seq_len,
        positions,
        spec.options.model));
  }
  if (spec.source.config.vocab_size < Vocabulary().size() &&
      !fs::exists(spec.source.folder() / "tokenizer.json")) {
    problems.add(fmt::format(
        "{} has a vocabulary of {}, bytes need {}",
        spec.options.model,
        spec.source.config.vocab_size,
        Vocabulary().size()));
  }
  if (spec.source.adapter && spec.options.lora_rank) {
    problems.add(fmt::format(
        "{} is an adapter, which has its own rank and targets; leave "
        "--lora-rank out to train it further",
        spec.options.model));
  }
  if ((spec.options.lora_rank || spec.source.adapter) &&
      !spec.source.has_weights()) {
    problems.add(fmt::format(
        "{} has no weights that adapters could belong to; name a folder with "
        "a trained model",
        spec.source.base.string()));
  }
  if (spec.options.global_batch_tokens && *spec.options.seq_len > 0) {
    spec.global_batch =
        *spec.options.global_batch_tokens / *spec.options.seq_len;
    if (spec.global_batch == 0) {
      problems.add(fmt::format(
          "--global-batch-tokens {} holds no sample of --seq-len {}",
          *spec.options.global_batch_tokens,
          *spec.options.seq_len));
    }
  }
}

} // namespace

RunSpec resolve(
    const TrainOptions& options,
    bool needs_out,
    const Problems& known) {
  RunSpec spec{.options = options};
  Problems problems = known;
  check_options(spec.options, needs_out, problems);
  spec.parts = data_parts(spec.options.data, problems);
  if (!spec.options.model.empty()) {
    check_model(spec, problems);
  }
  if (spec.options.merge && !spec.options.lora_rank && !spec.source.adapter) {
    problems.add("--merge needs --lora-rank or an adapter as --model");
  }
  if (needs_out && !spec.options.out.empty()) {
    check_out(spec.options.out, spec.options.resume, problems);
  }
  problems.throw_if_any<ConfigError>("config");
  if (spec.options.device != "cpu" && !spec.options.grain_tokens) {
    spec.options.grain_tokens = kGrainTokens; // recorded
  }
  if (spec.options.global_batch) {
    spec.global_batch = *spec.options.global_batch;
  }
  if (spec.options.steps.value_or(0) >
      std::numeric_limits<int64_t>::max() / spec.global_batch) {
    throw ConfigError(fmt::format(
        "[config] --steps {} of {} samples each is beyond what can be counted.",
        *spec.options.steps,
        spec.global_batch));
  }
  return spec;
}

std::optional<LoraOptions> lora_options(
    const RunSpec& spec,
    const std::vector<int64_t>& tokens) {
  if (!spec.options.lora_rank) {
    return spec.source.lora;
  }
  LoraOptions lora;
  lora.rank = *spec.options.lora_rank;
  lora.alpha =
      spec.options.lora_alpha.value_or(2 * static_cast<double>(lora.rank));
  if (!spec.options.lora_targets.empty()) {
    lora.targets.clear();
  }
  for (const std::string& names : spec.options.lora_targets) {
    std::istringstream list(names); // a comma separates as a space does
    for (std::string name; std::getline(list, name, ',');) {
      lora.targets.push_back(name);
    }
  }
  lora.tokens = tokens;
  return lora;
}

} // namespace accrue
