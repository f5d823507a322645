#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"
#include "memory/planner.h"
#include "report/progress.h"
#include "text/dataset.h"
#include "text/mixture.h"
#include "text/order.h"
#include "train/batch.h"
#include "train/model_source.h"
#include "train/options.h"
#include "train/preference.h"

namespace accrue {

/// The loss of a micro-batch, and what else is told of it.
struct MicroLoss {
  LossSum loss;
  int64_t tokens = 0; // through the model
  int64_t target_tokens = 0; // trained on
  PairSums pairs; // of dpo
};

/// How conversations of the data are written.
struct ChatUse {
  std::string description; // of the template
  std::string sample; // the first, as show() writes it
  std::vector<uint32_t> stop_tokens; // end an answer
};

/// How windows are cut and run.
struct Manner {
  int64_t max_samples = std::numeric_limits<int64_t>::max();
  int64_t max_tokens = std::numeric_limits<int64_t>::max();
  bool checkpointing = false;
};

/// What a run works on: everything that the settings name, checked and loaded.
/// train, plan and verify all start from one.
class Task {
 public:
  /// Checks everything before it allocates anything. Throws ConfigError with
  /// all problems of the settings and those already `known`, DataError for
  /// files.
  Task(
      const TrainOptions& options,
      bool needs_out,
      const ProgressCallback& tick,
      const Problems& known = {});

  const TrainOptions& options() const {
    return options_;
  }
  const Transformer& model() const {
    return *model_;
  }
  Transformer& model() {
    return *model_;
  }
  const ConcatDataset& train_set() const {
    return *train_set_;
  }
  /// Lines for people: the parts of a mixture, rows of --train-embeddings.
  std::vector<std::string> describe_data() const;
  /// nullptr without validation data.
  const ConcatDataset* valid_set() const {
    return valid_set_ ? &*valid_set_ : nullptr;
  }
  /// Samples of a full window.
  int64_t global_batch() const {
    return global_batch_;
  }
  int64_t total_steps() const {
    return total_steps_;
  }
  /// The most that the process may take: --memory, or 80 % of what is free.
  uint64_t budget_bytes() const {
    return budget_bytes_;
  }
  const CorpusCounts& counts() const {
    return counts_;
  }
  /// How conversations are written, if the data holds any.
  const std::optional<ChatUse>& chat() const {
    return chat_;
  }
  /// Files of the folders named that are not read.
  const LeftOut& left_out() const {
    return left_out_;
  }
  /// Where the model came from.
  const ModelSource& source() const {
    return source_;
  }
  bool is_preference() const {
    return options_.objective == ObjectiveKind::kDpo;
  }

  /// For dpo, before loss() is used: the reference model's log-probabilities,
  /// which are those of the model as it is now, from or into `file` (empty:
  /// nowhere). At most `max_tokens` tokens, or a pair, go through the model at
  /// once. With LoRA the reference is the model without adapters.
  void prepare_references(
      const std::filesystem::path& file,
      bool load,
      int64_t max_tokens,
      const ProgressCallback& tick);

  /// Positions in the sample order that the window of `step` (from 0) covers.
  Range window_range(int64_t step) const;

  /// Sample at a position of the sample order.
  Sample sample_at(int64_t position) const;

  /// Target tokens of the samples at these positions.
  std::vector<int64_t> lengths(Range positions) const;

  /// A planned micro-batch was measured with samples of the longest length, so
  /// it is a number of tokens; one that was asked for is a number of samples.
  Manner manner(const memory::Way& way) const;

  /// The micro-batches of a window, at least one sample each.
  std::vector<Range> cut(Range window, const Manner& manner) const;

  /// Loss of the samples at these positions, with a graph, with the dropout of
  /// window `step`; of none: without.
  MicroLoss loss(
      Range positions,
      std::optional<int64_t> step,
      bool checkpointing = false) const;

  /// Loss of `count` copies of the longest training sample, cut to `length`
  /// tokens: what is worst in memory and time.
  LossSum longest_loss(int64_t count, int64_t length, bool checkpointing) const;

  /// The loss over the validation set, without a graph, in micro-batches of at
  /// most `max_tokens` tokens.
  ValidLoss valid_loss(int64_t max_tokens, const ProgressCallback& tick) const;

  /// Mean loss of each sample at these positions, as the model is now, without
  /// dropout.
  std::vector<double> sample_losses(Range positions) const;

  /// A fresh optimizer over the model's parameters.
  std::unique_ptr<Optimizer> make_optimizer() const;

  double learning_rate(int64_t step) const;

 private:
  void check_settings(bool needs_out, Problems problems);
  void load_data(const ProgressCallback& tick);
  void load_model();
  MicroLoss loss_of(
      std::span<const Sample> samples,
      std::span<const PairReference> references,
      std::optional<int64_t> step,
      bool checkpointing) const;
  std::shared_ptr<const Corpus> open_corpus(
      const std::vector<std::string>& paths,
      const Vocabulary& vocabulary,
      const ChatFormat& format,
      const ProgressCallback& tick);
  void find_trained_tokens(const Vocabulary& vocabulary);
  ChatOptions chat_options(const Vocabulary& vocabulary);
  std::optional<LoraOptions> lora_options() const;
  ValidLoss valid_pair_loss(int64_t max_tokens, const ProgressCallback& tick)
      const;

  TrainOptions options_;
  ModelSource source_;
  std::vector<DataPart> parts_;
  std::optional<ConcatDataset> train_set_;
  std::optional<ConcatDataset> valid_set_;
  std::optional<SampleOrder> order_;
  std::optional<Transformer> model_;
  int64_t global_batch_ = 0;
  int64_t total_samples_ = 0;
  int64_t total_steps_ = 0;
  uint64_t budget_bytes_ = 0;
  CorpusCounts counts_;
  std::optional<ChatUse> chat_;
  std::vector<int64_t> trained_tokens_; // --train-embeddings
  uint64_t tokens_without_row_ = 0; // of those added to the tokenizer
  LeftOut left_out_;
  std::vector<PairReference> train_references_; // of dpo, by sample
  std::vector<PairReference> valid_references_;
};

} // namespace accrue
