// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "accrue/models/transformer.h"
#include "accrue/optim/schedule.h"
#include "accrue/window/window.h"
#include "text/chat_options.h"
#include "text/sample_options.h"

namespace accrue {

enum class OptimizerKind { kAdamW, kSgd };
/// Whether blocks recompute their activations in the backward pass; kAuto:
/// where memory makes it the better choice.
enum class Checkpointing { kAuto, kOn, kOff };
/// Language model on text or conversations, or preference pairs.
enum class ObjectiveKind { kLm, kDpo };
enum class SaveDtype { kFp32, kBf16, kFp16 };

/// Largest default of TrainOptions::seq_len, in target tokens.
constexpr int64_t kDefaultSeqLen = 1024;

/// Default of TrainOptions::grain_tokens. Sums over fewer tokens would cost
/// more time than they take: docs/devices.md.
constexpr int64_t kGrainTokens = 2048;

/// Settings of a run. Names, bounds and help of their flags:
/// run/option_table.h. Where 0 or an empty value has a meaning of its own,
/// the comment says so.
struct TrainOptions {
  // Settings that decide the result. They may not change at a resume.

  /// Hugging Face model folder, adapter folder or config.json. Required.
  std::string model;
  /// Files and folders of training data, each with an optional share behind it
  /// ("chat.jsonl:0.7"). At least one.
  std::vector<std::string> data;
  /// Leave out and count malformed JSON records instead of failing.
  bool skip_bad_lines = false;
  ObjectiveKind objective = ObjectiveKind::kLm;
  /// Strength of the pull towards the reference model in DPO, > 0.
  double dpo_beta = 0.1;
  ChatTemplate chat_template = ChatTemplate::kAuto;
  /// Date for templates that write one, YYYY-MM-DD. Empty = today, at the start
  /// of the run.
  std::string chat_date;
  TrainOn train_on = TrainOn::kCompletion;
  /// Special tokens spelled in messages become those tokens.
  bool special_tokens_in_text = false;
  TooLong too_long = TooLong::kTruncate;
  /// Rank of the low-rank adapters to train, >= 1. None = train all weights.
  std::optional<int64_t> lora_rank;
  /// Adapters are scaled by lora_alpha / lora_rank, >= 0. None = twice the
  /// rank.
  std::optional<double> lora_alpha;
  /// Names of the linear layers that get adapters. Empty = all.
  std::vector<std::string> lora_targets;
  /// Tokens whose embeddings are trained beside the adapters, or "added" for
  /// all that were added to the tokenizer. Empty = none.
  std::vector<std::string> train_embeddings;
  /// Target tokens of the longest sample, >= 1. None = the model's positions,
  /// at most kDefaultSeqLen.
  std::optional<int64_t> seq_len;
  Packing packing = Packing::kOn;
  /// File or folder of validation data. Empty = none.
  std::string valid;
  /// Share of the training samples held back for validation, between 0 and 1.
  /// None = no samples.
  std::optional<double> valid_fraction;
  /// Samples per optimizer step, >= 1. Either this or global_batch_tokens.
  std::optional<int64_t> global_batch;
  /// Target tokens per optimizer step, >= 1, rounded down to samples of
  /// seq_len.
  std::optional<int64_t> global_batch_tokens;
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  /// Peak learning rate, >= 0.
  double lr = 3e-4;
  /// Learning rate at the end of a decaying schedule, from 0 to lr.
  double min_lr = 0;
  ScheduleKind schedule = ScheduleKind::kConstant;
  /// Optimizer steps of linear warm-up from 0. 0 = none.
  int64_t warmup_steps = 0;
  /// Decoupled weight decay, >= 0; not on biases and norms. 0 = none.
  double weight_decay = 0.1;
  /// Decay of AdamW's average of gradients, in [0, 1).
  double beta1 = 0.9;
  /// Decay of AdamW's average of squared gradients, in [0, 1).
  double beta2 = 0.95;
  /// Added to the denominator of AdamW's update, >= 0.
  double eps = 1e-8;
  /// Momentum of SGD, in [0, 1). 0 = none.
  double momentum = 0.9;
  /// Largest global norm of a step's gradient, >= 0. 0 = no clipping.
  double clip_norm = 1.0;
  /// Dropout probability on embeddings and residual branches, in [0, 1).
  /// 0 = none.
  double dropout = 0;
  /// Seed of initial weights, sample order and dropout, >= 0.
  int64_t seed = 0;
  /// Type of the matrix products.
  Dtype dtype = Dtype::kFp32;
  /// Fixed slices of the global batch. Only 1 is supported.
  int64_t shards = 1;
  OnNonFinite on_nonfinite = OnNonFinite::kError;
  /// Most tokens of a grain, the samples whose sums over tokens are made in one
  /// call on a GPU, >= 1; at least one sample. None = kGrainTokens. On a CPU a
  /// grain is one sample.
  std::optional<int64_t> grain_tokens;

  // Length of the run. It may change at a resume.

  /// Optimizer steps of the whole run, >= 1. Either this or epochs; neither =
  /// one epoch.
  std::optional<int64_t> steps;
  /// Passes over the data, > 0.
  std::optional<double> epochs;
  /// Evaluations in a row without a lower validation loss that end the run,
  /// >= 1. None = no such end.
  std::optional<int64_t> patience;

  // Settings that decide only the time, and which files are written.

  /// "cpu", "cuda" (the first GPU) or "cuda:N".
  std::string device = "cpu";
  /// Samples in a micro-batch, >= 1. None = planned from the memory.
  std::optional<int64_t> micro_batch;
  /// Most memory of the process, on a GPU of what it takes there. None = 80 %
  /// of what is free, 90 % on a GPU.
  std::optional<Bytes> memory;
  Checkpointing checkpointing = Checkpointing::kAuto;
  /// CPU threads. 0 = OMP_NUM_THREADS, or all cores that may be used.
  int64_t threads = 0;
  /// Run directory. Empty only where nothing is written (plan, verify).
  std::string out;
  /// Optimizer steps between checkpoints, >= 0. 0 = only at the end.
  int64_t checkpoint_every = 0;
  /// Newest checkpoints to keep, >= 1.
  int64_t keep_checkpoints = 3;
  /// Optimizer steps between evaluations, >= 0. 0 = only at the end.
  int64_t eval_every = 0;
  /// Write the model of the step with the lowest validation loss, not the last.
  bool keep_best = false;
  /// Write the model with its adapters merged into the weights.
  bool merge = false;
  /// Type that the written model is rounded to. None = as it was trained.
  std::optional<SaveDtype> save_dtype;
  /// Write the metrics for TensorBoard, too.
  bool tensorboard = false;

  // Settings of one call. config.toml does not hold them.

  /// Continue the run in `out`.
  bool resume = false;
  /// Time after which the run stops at the end of a window, counted from the
  /// start of the command, > 0. None = no limit.
  std::optional<Seconds> max_time;
};

/// Adds every problem that the settings have by themselves. Reads no file.
/// `needs_out`: an empty `out` is one.
void check_options(
    const TrainOptions& options,
    bool needs_out,
    Problems& problems);

/// Returns the text of config.toml: every setting that has a value, but those
/// of one call.
std::string to_toml(const TrainOptions& options);

/// Returns a text such as "--lr was 0.0003, now 0.001" for each difference in
/// the settings that decide the result.
std::vector<std::string> logical_differences(
    const TrainOptions& a,
    const TrainOptions& b);

} // namespace accrue
