#include "train/task.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "memory/meter.h"
#include "text/bytes.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultSeqLen = 1024;
constexpr uint64_t kOrderStream = 1; // keeps order and weights independent
constexpr double kDefaultShare = 0.8; // of the memory there is

bool not_empty(const fs::path& folder) {
  std::error_code code;
  return fs::exists(folder, code) &&
      (!fs::is_directory(folder, code) || !fs::is_empty(folder, code));
}

} // namespace

Task::Task(
    const TrainOptions& options,
    bool needs_out,
    const report::Tick& tick,
    const Problems& known)
    : options_(options) {
  ModelConfig config = check_settings(needs_out, known);
  budget_bytes_ = options_.memory
      ? options_.memory->value
      : static_cast<uint64_t>(
            static_cast<double>(memory::available_bytes()) * kDefaultShare);
  load_data(tick);
  load_model(config);
}

/// The model's config is small and checked along with the flags, so that all
/// problems of the settings come in one message.
ModelConfig Task::check_settings(bool needs_out, Problems problems) {
  check_options(options_, needs_out, problems);
  ModelConfig config;
  if (!options_.model.empty()) {
    try {
      config = read_model_config(options_.model);
    } catch (const DataError&) {
      problems.throw_if_any<ConfigError>("config");
      throw;
    }
    int64_t positions = config.max_positions;
    if (!options_.seq_len) {
      options_.seq_len = std::min(positions, kDefaultSeqLen);
    } else if (*options_.seq_len > positions) {
      problems.add(fmt::format(
          "--seq-len {} exceeds the {} positions of {}",
          *options_.seq_len,
          positions,
          options_.model));
    }
    if (config.vocab_size < ByteVocabulary::kSize) {
      problems.add(fmt::format(
          "{} has a vocabulary of {}, bytes need {}",
          options_.model,
          config.vocab_size,
          ByteVocabulary::kSize));
    }
    if (fs::exists(fs::path(options_.model) / "tokenizer.json")) {
      problems.add(fmt::format(
          "{} has a tokenizer.json, which this version can't use yet; it "
          "trains on bytes. Give a folder without one",
          options_.model));
    }
    if (options_.global_batch_tokens) {
      global_batch_ = *options_.global_batch_tokens / *options_.seq_len;
      if (global_batch_ == 0) {
        problems.add(fmt::format(
            "--global-batch-tokens {} holds no sample of --seq-len {}",
            *options_.global_batch_tokens,
            *options_.seq_len));
      }
    }
  }
  if (needs_out && !options_.resume && !options_.out.empty() &&
      not_empty(options_.out)) {
    problems.add(fmt::format(
        "--out {} is not empty; choose another folder, or pass --resume to "
        "go on with the run in it",
        options_.out));
  }
  problems.throw_if_any<ConfigError>("config");
  if (options_.global_batch) {
    global_batch_ = *options_.global_batch;
  }
  return config;
}

std::shared_ptr<const Corpus> Task::open_corpus(
    const std::vector<std::string>& paths,
    const report::Tick& tick) {
  auto corpus = std::make_shared<Corpus>(Corpus::open(
      {.paths = paths,
       .skip_bad_lines = options_.skip_bad_lines,
       .cache = default_cache()},
      [&](uint64_t done, uint64_t total) {
        tick("reading text", done, total);
      }));
  skipped_lines_ += corpus->skipped_lines();
  return corpus;
}

void Task::load_data(const report::Tick& tick) {
  bool packing = options_.packing == Packing::kOn;
  train_set_.emplace(
      open_corpus(options_.data, tick), *options_.seq_len, packing);
  if (!options_.valid.empty()) {
    valid_set_.emplace(
        open_corpus({options_.valid}, tick), *options_.seq_len, packing);
  } else if (options_.valid_fraction) {
    uint64_t all = train_set_->size();
    auto held = static_cast<uint64_t>(
        std::ceil(static_cast<double>(all) * *options_.valid_fraction));
    valid_set_.emplace(*train_set_, all - held, all);
    train_set_.emplace(Dataset(*train_set_, 0, all - held));
  }
  auto available = static_cast<int64_t>(train_set_->size());
  if (available < global_batch_) {
    throw DataError(fmt::format(
        "[data] {} gives {} training samples of up to {} tokens, fewer "
        "than one global batch of {}. Add text, or lower --global-batch "
        "or --seq-len.",
        options_.data.front(),
        available,
        *options_.seq_len,
        global_batch_));
  }
  order_.emplace(
      train_set_->size(),
      mix(static_cast<uint64_t>(options_.seed), kOrderStream));
  if (options_.steps) {
    total_steps_ = *options_.steps;
    total_samples_ = total_steps_ * global_batch_;
  } else {
    total_samples_ = std::max<int64_t>(
        1,
        std::llround(
            static_cast<double>(available) * options_.epochs.value_or(1)));
    total_steps_ = (total_samples_ + global_batch_ - 1) / global_batch_;
  }
}

void Task::load_model(const ModelConfig& config) {
  // Weights, gradients and the optimizer's state, before any of it is made.
  uint64_t slots = options_.optimizer == OptimizerKind::kAdamW ? 2
      : options_.momentum != 0                                 ? 1
                                                               : 0;
  uint64_t needed = memory::resident_bytes() +
      static_cast<uint64_t>(config.num_parameters()) * (2 + slots) *
          (options_.dtype == Dtype::kFp64 ? 8 : 4);
  if (needed > budget_bytes_) {
    throw MemoryError(fmt::format(
        "[memory] not even one sample fits: weights, gradients, optimizer "
        "state and the program alone need {}, the budget is {}, {} are "
        "missing. Raise --memory, or take a smaller model.",
        format_bytes(needed),
        format_bytes(budget_bytes_),
        format_bytes(needed - budget_bytes_)));
  }
  model_.emplace(config, options_.dtype, static_cast<uint64_t>(options_.seed));
  if (has_weights(options_.model)) {
    load_weights(options_.model, *model_);
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

LossSum Task::loss(Range positions, int64_t step, bool checkpointing) const {
  std::vector<Sample> samples;
  for (int64_t i = positions.begin; i < positions.end; ++i) {
    samples.push_back(sample_at(i));
  }
  return loss_of(samples, step, checkpointing);
}

LossSum Task::longest_loss(int64_t count, int64_t length, bool checkpointing)
    const {
  Sample longest = train_set_->sample(train_set_->longest());
  longest.tokens.resize(static_cast<size_t>(length + 1));
  std::vector<Sample> samples(static_cast<size_t>(count), longest);
  return loss_of(samples, 0, checkpointing);
}

LossSum Task::loss_of(
    std::span<const Sample> samples,
    int64_t step,
    bool checkpointing) const {
  TokenBatch batch = make_batch(samples);
  tensor::DropoutKey dropout{
      .probability = options_.dropout,
      .seed = static_cast<uint64_t>(options_.seed),
      .step = static_cast<uint64_t>(step)};
  return {
      .sum = model_->loss_sum(batch, dropout, checkpointing),
      .weight = batch.target_weight};
}

double Task::valid_loss(int64_t max_tokens, const report::Tick& tick) const {
  at::NoGradGuard no_grad;
  double sum = 0;
  double weight = 0;
  uint64_t next = 0;
  while (next < valid_set_->size()) {
    std::vector<Sample> samples;
    int64_t tokens = 0;
    do {
      samples.push_back(valid_set_->sample(next));
      tokens += samples.back().length();
      ++next;
    } while (next < valid_set_->size() &&
             tokens + valid_set_->length(next) <= max_tokens);
    TokenBatch batch = make_batch(samples);
    sum += model_->loss_sum(batch).item<double>();
    weight += batch.target_weight;
    tick("validation", next, valid_set_->size());
  }
  return sum / weight;
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

TokenBatch make_batch(std::span<const Sample> samples) {
  TokenBatch batch;
  batch.offsets.push_back(0);
  for (const Sample& sample : samples) {
    batch.offsets.push_back(batch.offsets.back() + sample.length());
    batch.sample_ids.push_back(sample.id);
  }
  int64_t num_tokens = batch.offsets.back();
  batch.tokens = at::empty({num_tokens}, at::kLong);
  batch.targets = at::empty({num_tokens}, at::kLong);
  batch.positions = at::empty({num_tokens}, at::kLong);
  batch.weights = at::empty({num_tokens}, at::kDouble).fill_(1);
  batch.target_weight = static_cast<double>(num_tokens);
  auto* tokens = batch.tokens.mutable_data_ptr<int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<int64_t>();
  auto* positions = batch.positions.mutable_data_ptr<int64_t>();
  for (const Sample& sample : samples) {
    tokens = std::copy(sample.tokens.begin(), sample.tokens.end() - 1, tokens);
    targets =
        std::copy(sample.tokens.begin() + 1, sample.tokens.end(), targets);
    for (int64_t t = 0; t < sample.length(); ++t) {
      *positions++ = t;
    }
  }
  return batch;
}

bool has_weights(const std::string& model) {
  fs::path folder(model);
  return fs::exists(folder / "model.safetensors") ||
      fs::exists(folder / "model.safetensors.index.json") ||
      fs::exists(folder / "pytorch_model.bin");
}

void load_weights(const std::string& folder, const Transformer& model) {
  fs::path file = fs::path(folder) / "model.safetensors";
  if (!fs::exists(file)) {
    throw DataError(fmt::format(
        "[model] {} holds no model.safetensors, the one kind of weights "
        "this version reads. Save the model with safe serialization, in "
        "one file.",
        folder));
  }
  load_safetensors(file, model.state());
}

} // namespace accrue
