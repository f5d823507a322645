// SPDX-License-Identifier: Apache-2.0
#include "run/window_of_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "objectives/batch.h"

namespace accrue {
namespace {

/// Adds the loss of examples to a window, with the dropout of `step`.
std::optional<drive::Totals> add_examples(
    const Task& task,
    const Examples& examples,
    int64_t step,
    bool recompute,
    Window& window) {
  const TrainOptions& options = task.options();
  const TokenBatch batch = make_batch(examples.samples, task.grain_tokens());
  const LossTerms terms = task.objective().terms(batch, examples);
  ModelLoss loss = task.model().loss(
      batch,
      {.dropout =
           {.probability = options.dropout,
            .seed = static_cast<uint64_t>(options.seed),
            .step = static_cast<uint64_t>(step)},
       .recompute = recompute},
      terms.objective);
  loss.weight = terms.weight;
  if (!window.add(loss)) {
    return std::nullopt;
  }
  drive::Totals totals{
      .tokens = batch.offsets.back(),
      .target_tokens = std::llround(batch.target_weight)};
  if (terms.figures) {
    totals.figures = *terms.figures;
  }
  return totals;
}

} // namespace

WindowOfStep::WindowOfStep(
    const Task& task,
    int64_t step,
    report::Progress& progress)
    : task_(task),
      step_(step),
      window_(task.window_range(step)),
      progress_(progress) {}

int64_t WindowOfStep::num_tokens(int64_t sample) const {
  return task_.train_set().length(
      task_.data().index_at(window_.begin + sample));
}

std::optional<drive::Totals> WindowOfStep::add(
    Window& window,
    Range samples,
    bool recompute) {
  std::vector<Sample> list;
  std::vector<uint64_t> indices;
  for (int64_t i = samples.begin; i < samples.end; ++i) {
    indices.push_back(task_.data().index_at(window_.begin + i));
    list.push_back(task_.train_set().sample(indices.back()));
  }
  return add_examples(task_, {list, indices}, step_, recompute, window);
}

int64_t WindowOfStep::grain_tokens() const {
  return task_.grain_tokens();
}

void WindowOfStep::on_micro_batch(const drive::MicroBatchRun& run) {
  progress_.update(
      fmt::format("step {}", step_ + 1),
      static_cast<uint64_t>(run.samples.end),
      static_cast<uint64_t>(num_samples()));
}

void WindowOfStep::on_rollback(const std::string& message) {
  progress_.line(fmt::format("step {}: {}", step_ + 1, message));
}

std::string WindowOfStep::name(int64_t sample) const {
  return fmt::format(
      "sample {} ({} tokens)",
      task_.data().sample_at(window_.begin + sample).id,
      num_tokens(sample));
}

std::string WindowOfStep::memory_advice(bool recompute) const {
  return fmt::format(
      "Raise --memory, shorten --seq-len{} or use --dtype bf16. The "
      "checkpoints "
      "are as they were.",
      recompute ? "" : ", pass --checkpointing auto");
}

std::string WindowOfStep::nonfinite_advice(std::optional<Range> samples) const {
  std::string ids;
  if (samples) {
    ids = ", samples";
    for (int64_t i = samples->begin; i < samples->end; ++i) {
      ids += fmt::format(" {}", task_.data().sample_at(window_.begin + i).id);
    }
  }
  return fmt::format(
      " Step {}{}. --on-nonfinite skip goes on without such samples; the "
      "checkpoints are as they were.",
      step_ + 1,
      ids);
}

LongestSamples::LongestSamples(const Task& task, int64_t count, int64_t length)
    : task_(task),
      count_(count),
      longest_(task.train_set().sample(task.train_set().longest())) {
  const int64_t whole = longest_.length();
  int64_t left = length;
  for (Sequence& sequence : longest_.sequences) {
    // Both sequences of a pair are shortened by the same share.
    int64_t share = &sequence == &longest_.sequences.back()
        ? left
        : sequence.length() * length / whole;
    share = std::clamp<int64_t>(share, 1, sequence.length());
    sequence.tokens.resize(static_cast<size_t>(share + 1));
    sequence.loss_mask.clear(); // the worst case: all tokens are trained on
    left -= share;
  }
}

std::optional<drive::Totals> LongestSamples::add(
    Window& window,
    Range samples,
    bool recompute) {
  const std::vector<Sample> list(static_cast<size_t>(samples.size()), longest_);
  return add_examples(
      task_,
      {list, {}, Examples::Set::kProbe},
      /*step=*/0,
      recompute,
      window);
}

int64_t LongestSamples::num_tokens(int64_t /*sample*/) const {
  return longest_.length();
}

int64_t LongestSamples::grain_tokens() const {
  return task_.grain_tokens();
}

std::string LongestSamples::name(int64_t /*sample*/) const {
  return fmt::format("sample {}", longest_.id);
}

std::string LongestSamples::memory_advice(bool /*recompute*/) const {
  return "Raise --memory.";
}

} // namespace accrue
