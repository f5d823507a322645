#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "accrue/models/transformer.h"
#include "accrue/optim/schedule.h"
#include "accrue/window/window.h"
#include "text/dataset.h"
#include "text/example.h"

// Every setting of a run, once. Their names and help: train/option_table.h.

namespace accrue {

/// The spellings of an enum's values, in their order.
template <class E>
struct EnumNames;
template <>
struct EnumNames<Dtype> {
  static constexpr std::array values{"fp32", "fp64", "bf16"};
};
template <>
struct EnumNames<ScheduleKind> {
  static constexpr std::array values{"constant", "cosine", "linear", "wsd"};
};
template <>
struct EnumNames<OnNonFinite> {
  static constexpr std::array values{"error", "skip"};
};
enum class OptimizerKind { kAdamW, kSgd };
template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::array values{"adamw", "sgd"};
};
enum class Checkpointing { kAuto, kOn, kOff };
template <>
struct EnumNames<Checkpointing> {
  static constexpr std::array values{"auto", "on", "off"};
};
template <>
struct EnumNames<Packing> {
  static constexpr std::array values{"on", "documents", "off"};
};

enum class ObjectiveKind { kLm, kDpo };
template <>
struct EnumNames<ObjectiveKind> {
  static constexpr std::array values{"lm", "dpo"};
};
template <>
struct EnumNames<ChatTemplate> {
  static constexpr std::array values{
      "auto",
      "chatml",
      "llama3",
      "mistral",
      "plain"};
};
template <>
struct EnumNames<TrainOn> {
  static constexpr std::array values{"completion", "assistant", "last", "all"};
};
template <>
struct EnumNames<TooLong> {
  static constexpr std::array values{"cut", "drop", "error"};
};

enum class SaveDtype { kFp32, kBf16, kFp16 };
template <>
struct EnumNames<SaveDtype> {
  static constexpr std::array values{"fp32", "bf16", "fp16"};
};

/// Target tokens of the longest sample, if the model has as many positions.
constexpr int64_t kDefaultSeqLen = 1024;

struct TrainOptions {
  // What decides the result.
  std::string model;
  std::vector<std::string> data;
  bool skip_bad_lines = false;
  ObjectiveKind objective = ObjectiveKind::kLm;
  double dpo_beta = 0.1;
  ChatTemplate chat_template = ChatTemplate::kAuto;
  std::string chat_date; // empty: as long as no template asks for it
  TrainOn train_on = TrainOn::kCompletion;
  bool special_tokens_in_text = false;
  TooLong too_long = TooLong::kCut;
  std::optional<int64_t> lora_rank;
  std::optional<double> lora_alpha;
  std::vector<std::string> lora_targets;
  std::vector<std::string> train_embeddings; // "added", or tokens
  std::optional<int64_t> seq_len;
  Packing packing = Packing::kOn;
  std::string valid;
  std::optional<double> valid_fraction;
  std::optional<int64_t> global_batch;
  std::optional<int64_t> global_batch_tokens;
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double lr = 3e-4;
  double min_lr = 0;
  ScheduleKind schedule = ScheduleKind::kConstant;
  int64_t warmup_steps = 0;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double momentum = 0.9;
  double clip_norm = 1.0;
  double dropout = 0;
  int64_t seed = 0;
  Dtype dtype = Dtype::kFp32;
  int64_t shards = 1;
  OnNonFinite on_nonfinite = OnNonFinite::kError;

  // How far to go.
  std::optional<int64_t> steps;
  std::optional<double> epochs;
  std::optional<int64_t> patience;

  // What decides only the time and what is kept.
  std::optional<int64_t> micro_batch;
  std::optional<Bytes> memory;
  Checkpointing checkpointing = Checkpointing::kAuto;
  int64_t threads = 0;
  std::string out;
  int64_t checkpoint_every = 0;
  int64_t keep_checkpoints = 3;
  int64_t eval_every = 0;
  bool keep_best = false;
  bool merge = false;
  std::optional<SaveDtype> save_dtype; // none: as it was trained
  bool tensorboard = false;

  // This call only; not part of a run's settings.
  std::string config;
  bool resume = false;
  std::optional<Seconds> max_time;
  bool json = false;
  bool quiet = false;
  std::optional<double> price_per_hour;
  bool all = false;
};

/// Adds everything wrong with the settings themselves. Reads no file.
void check_options(
    const TrainOptions& options,
    bool needs_out,
    Problems& problems);

/// config.toml: every setting that has a value.
std::string to_toml(const TrainOptions& options);

/// Names of the logical settings in which the two differ.
std::vector<std::string> logical_differences(
    const TrainOptions& a,
    const TrainOptions& b);

} // namespace accrue
