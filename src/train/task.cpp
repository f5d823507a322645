#include "train/task.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/zero.h>
#include <c10/util/ScopeExit.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "memory/meter.h"
#include "train/run_lock.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr double kDefaultShare = 0.8; // of the memory that is free

} // namespace

Task::Task(
    const TrainOptions& options,
    bool needs_out,
    const ProgressCallback& tick,
    const Problems& known)
    : options_(options) {
  check_settings(needs_out, known);
  budget_bytes_ = options_.memory
      ? options_.memory->value
      : static_cast<uint64_t>(
            static_cast<double>(memory::available_bytes()) * kDefaultShare);
  load_data(tick);
  load_model();
}

/// The model's config is small and checked along with the flags, so that all
/// problems of the settings come in one message.
void Task::check_settings(bool needs_out, Problems problems) {
  check_options(options_, needs_out, problems);
  parts_ = data_parts(options_.data, problems);
  if (!options_.model.empty()) {
    try {
      source_ = find_model(options_.model);
      read_stop_tokens(source_.folder()); // the end of a run is no time to fail
    } catch (const DataError&) {
      problems.throw_if_any<ConfigError>("config");
      throw;
    }
    int64_t positions = source_.config.max_positions;
    if (!options_.seq_len) {
      options_.seq_len = std::min(positions, kDefaultSeqLen);
    } else if (*options_.seq_len > positions) {
      problems.add(fmt::format(
          "--seq-len {} exceeds the {} positions of {}",
          *options_.seq_len,
          positions,
          options_.model));
    }
    if (source_.config.vocab_size < Vocabulary().size() &&
        !fs::exists(source_.folder() / "tokenizer.json")) {
      problems.add(fmt::format(
          "{} has a vocabulary of {}, bytes need {}",
          options_.model,
          source_.config.vocab_size,
          Vocabulary().size()));
    }
    if (source_.adapter && options_.lora_rank) {
      problems.add(fmt::format(
          "{} is an adapter, which has its own rank and targets; leave "
          "--lora-rank out to train it further",
          options_.model));
    }
    if ((options_.lora_rank || source_.adapter) && !source_.has_weights()) {
      problems.add(fmt::format(
          "{} has no weights that adapters could belong to; name a folder with "
          "a trained model",
          source_.base.string()));
    }
    if (options_.global_batch_tokens && *options_.seq_len > 0) {
      global_batch_ = *options_.global_batch_tokens / *options_.seq_len;
      if (global_batch_ == 0) {
        problems.add(fmt::format(
            "--global-batch-tokens {} holds no sample of --seq-len {}",
            *options_.global_batch_tokens,
            *options_.seq_len));
      }
    }
  }
  if (options_.merge && !options_.lora_rank && !source_.adapter) {
    problems.add("--merge needs --lora-rank or an adapter as --model");
  }
  if (needs_out && !options_.out.empty()) {
    check_out(options_.out, options_.resume, problems);
  }
  problems.throw_if_any<ConfigError>("config");
  if (options_.global_batch) {
    global_batch_ = *options_.global_batch;
  }
  if (options_.steps.value_or(0) >
      std::numeric_limits<int64_t>::max() / global_batch_) {
    throw ConfigError(fmt::format(
        "[config] --steps {} of {} samples each is beyond what can be counted.",
        *options_.steps,
        global_batch_));
  }
}

std::optional<LoraOptions> Task::lora_options() const {
  if (!options_.lora_rank) {
    return source_.lora;
  }
  LoraOptions lora;
  lora.rank = *options_.lora_rank;
  lora.alpha = options_.lora_alpha.value_or(2 * static_cast<double>(lora.rank));
  if (!options_.lora_targets.empty()) {
    lora.targets.clear();
  }
  for (const std::string& names : options_.lora_targets) {
    std::istringstream list(names); // a comma separates as a space does
    for (std::string name; std::getline(list, name, ',');) {
      lora.targets.push_back(name);
    }
  }
  lora.tokens = trained_tokens_;
  return lora;
}

void Task::load_model() {
  // Weights, gradients and the optimizer's state, before any of it is made.
  uint64_t slots = options_.optimizer == OptimizerKind::kAdamW ? 2
      : options_.momentum != 0                                 ? 1
                                                               : 0;
  auto lora = lora_options();
  uint64_t width = options_.dtype == Dtype::kFp64 ? 8 : 4;
  // Adapters are small.
  uint64_t per_parameter =
      lora ? frozen_width(source_, options_.dtype) : (2 + slots) * width;
  uint64_t needed = memory::resident_bytes() +
      static_cast<uint64_t>(source_.config.num_parameters()) * per_parameter;
  if (needed > budget_bytes_) {
    throw MemoryError(fmt::format(
        "[memory] not even one sample fits: weights, gradients, optimizer "
        "state and the program alone need {}, the budget is {}, {} are "
        "missing. Raise --memory, {}take a smaller model.",
        format_bytes(needed),
        format_bytes(budget_bytes_),
        format_bytes(needed - budget_bytes_),
        lora ? "or " : "pass --lora-rank, or "));
  }
  model_.emplace(open_model(
      source_, options_.dtype, static_cast<uint64_t>(options_.seed), lora));
}

void Task::prepare_references(
    const fs::path& file,
    bool load,
    int64_t max_tokens,
    const ProgressCallback& tick) {
  if (!is_preference()) {
    return;
  }
  if (load) {
    train_references_.resize(train_set_->size());
    valid_references_.resize(valid_set_ ? valid_set_->size() : 0);
    load_references(file, train_references_, valid_references_);
    return;
  }
  // Adapters that go on from others are part of what is trained.
  TensorMap adapters = model_->adapters();
  TensorMap kept;
  for (const auto& [name, tensor] : adapters) {
    kept[name] = tensor.detach().clone();
  }
  // Also when memory runs out.
  auto restore = c10::make_scope_exit([&] { copy_tensors(kept, adapters); });
  model_->clear_adapters();
  train_references_ =
      compute_references(*model_, *train_set_, max_tokens, tick);
  if (valid_set_) {
    valid_references_ =
        compute_references(*model_, *valid_set_, max_tokens, tick);
  }
  if (!file.empty()) {
    save_references(file, train_references_, valid_references_);
  }
}

Range Task::window_range(int64_t step) const {
  int64_t begin = step * global_batch_;
  return {begin, std::min(begin + global_batch_, total_samples_)};
}

Sample Task::sample_at(int64_t position) const {
  return train_set_->sample(order_->at(static_cast<uint64_t>(position)));
}

std::vector<int64_t> Task::lengths(Range positions) const {
  std::vector<int64_t> lengths;
  for (int64_t i = positions.begin; i < positions.end; ++i) {
    lengths.push_back(train_set_->length(order_->at(static_cast<uint64_t>(i))));
  }
  return lengths;
}

Manner Task::manner(const memory::Way& way) const {
  Manner manner{.checkpointing = way.checkpointing};
  if (options_.micro_batch) {
    manner.max_samples = way.micro_batch;
  } else {
    manner.max_tokens = way.micro_batch * train_set_->max_length();
  }
  return manner;
}

std::vector<Range> Task::cut(Range window, const Manner& manner) const {
  std::vector<Range> parts =
      split_by_tokens(lengths(window), manner.max_tokens, manner.max_samples);
  for (Range& part : parts) {
    part.begin += window.begin;
    part.end += window.begin;
  }
  return parts;
}

MicroLoss Task::loss(
    Range positions,
    std::optional<int64_t> step,
    bool checkpointing) const {
  std::vector<Sample> samples;
  std::vector<PairReference> references;
  for (int64_t i = positions.begin; i < positions.end; ++i) {
    uint64_t index = order_->at(static_cast<uint64_t>(i));
    samples.push_back(train_set_->sample(index));
    if (is_preference()) {
      references.push_back(train_references_.at(index));
    }
  }
  return loss_of(samples, references, step, checkpointing);
}

LossSum Task::longest_loss(int64_t count, int64_t length, bool checkpointing)
    const {
  Sample longest = train_set_->sample(train_set_->longest());
  int64_t left = length;
  for (Sequence& sequence : longest.sequences) {
    // Of a pair each is cut by the same share.
    int64_t share = &sequence == &longest.sequences.back()
        ? left
        : sequence.length() * length / longest.length();
    share = std::clamp<int64_t>(share, 1, sequence.length());
    sequence.tokens.resize(static_cast<size_t>(share + 1));
    // As if all of it were trained on: what is worst.
    sequence.loss_mask.clear();
    left -= share;
  }
  std::vector<Sample> samples(static_cast<size_t>(count), longest);
  // Any reference takes the same memory and time.
  std::vector<PairReference> references(
      is_preference() ? static_cast<size_t>(count) : 0);
  return loss_of(samples, references, 0, checkpointing).loss;
}

MicroLoss Task::loss_of(
    std::span<const Sample> samples,
    std::span<const PairReference> references,
    std::optional<int64_t> step,
    bool checkpointing) const {
  TokenBatch batch = make_batch(samples);
  tensor::DropoutKey dropout;
  if (step) {
    dropout = {
        .probability = options_.dropout,
        .seed = static_cast<uint64_t>(options_.seed),
        .step = static_cast<uint64_t>(*step)};
  }
  MicroLoss micro;
  micro.tokens = batch.offsets.back();
  micro.target_tokens = std::llround(batch.target_weight);
  if (is_preference()) {
    micro.loss.sum = model_->objective_sum(
        batch,
        preference_objective(
            batch, references, options_.dpo_beta, options_.dtype, micro.pairs),
        dropout,
        checkpointing);
    micro.loss.weight = samples.size();
  } else {
    micro.loss.sum = model_->loss_sum(batch, dropout, checkpointing);
    micro.loss.weight = batch.target_weight;
  }
  return micro;
}

std::vector<double> Task::sample_losses(Range positions) const {
  at::NoGradGuard no_grad;
  std::vector<double> losses;
  for (int64_t i = positions.begin; i < positions.end; ++i) {
    LossSum sum = loss({i, i + 1}, std::nullopt).loss;
    losses.push_back(sum.sum.item<double>() / sum.weight.value);
  }
  return losses;
}

ValidLoss Task::valid_loss(int64_t max_tokens, const ProgressCallback& tick)
    const {
  if (is_preference()) {
    return valid_pair_loss(max_tokens, tick);
  }
  return {.loss = evaluate(*model_, *valid_set_, max_tokens, tick).mean()};
}

ValidLoss Task::valid_pair_loss(
    int64_t max_tokens,
    const ProgressCallback& tick) const {
  at::NoGradGuard no_grad;
  ValidLoss mean;
  for_each_batch(
      *valid_set_,
      max_tokens,
      [&](uint64_t first, std::span<const Sample> samples) {
        TokenBatch batch = make_batch(samples);
        mean.loss += model_
                         ->objective_sum(
                             batch,
                             preference_objective(
                                 batch,
                                 std::span(valid_references_)
                                     .subspan(first, samples.size()),
                                 options_.dpo_beta,
                                 options_.dtype,
                                 mean.pairs))
                         .item<double>();
        tick("evaluating", first + samples.size(), valid_set_->size());
      });
  const auto pairs = static_cast<double>(valid_set_->size());
  mean.loss /= pairs;
  mean.pairs.margin /= pairs;
  mean.pairs.accuracy /= pairs;
  return mean;
}

std::unique_ptr<Optimizer> Task::make_optimizer() const {
  if (options_.optimizer == OptimizerKind::kSgd) {
    return std::make_unique<Sgd>(
        model_->parameters(),
        SgdOptions{
            .lr = options_.lr,
            .momentum = options_.momentum,
            .weight_decay = options_.weight_decay});
  }
  return std::make_unique<AdamW>(
      model_->parameters(),
      AdamWOptions{
          .lr = options_.lr,
          .beta1 = options_.beta1,
          .beta2 = options_.beta2,
          .eps = options_.eps,
          .weight_decay = options_.weight_decay});
}

double Task::learning_rate(int64_t step) const {
  return Schedule{
      .kind = options_.schedule,
      .lr = options_.lr,
      .min_lr = options_.min_lr,
      .warmup_steps = options_.warmup_steps,
      .total_steps = total_steps_}
      .at(step);
}

} // namespace accrue
