// SPDX-License-Identifier: Apache-2.0
#include "run/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "accrue/core/units.h"
#include "run/option_names.h"

namespace accrue {

namespace {

/// Micro-batches of the first window.
size_t num_micro_batches(
    const Task& task,
    const drive::MicroBatching& batching) {
  const Range window = task.window_range(0);
  std::vector<int64_t> lengths;
  for (int64_t i = window.begin; i < window.end; ++i) {
    lengths.push_back(task.train_set().length(task.data().index_at(i)));
  }
  return split_by_tokens(lengths, batching.max_tokens, batching.max_samples)
      .size();
}

} // namespace

void describe(
    const Task& task,
    const drive::MicroBatching& batching,
    report::Progress& progress) {
  const Transformer& model = task.model();
  progress.line(fmt::format(
      "model        {} parameters in {} tensors, {}{}, {}",
      format_count(static_cast<double>(model.num_parameters())),
      model.named_parameters().size(),
      model.lora() ? fmt::format(
                         "{} of them trained, ",
                         format_count(static_cast<double>(model.num_trained())))
                   : "",
      to_string(task.options().dtype),
      task.options().resume ? "weights of the last checkpoint"
          : task.source().has_weights()
          ? "weights of " + task.source().base.string()
          : "fresh weights"));
  progress.line(fmt::format(
      "data         {} samples of up to {} tokens{}{}",
      task.train_set().size(),
      task.train_set().max_length(),
      task.valid_set()
          ? fmt::format(", {} for validation", task.valid_set()->size())
          : "",
      describe(task.data().counts)));
  for (const std::string& line : describe_data(task.spec(), task.data())) {
    progress.line(line);
  }
  if (const LeftOut& left_out = task.data().left_out; !left_out.empty()) {
    progress.line(left_out_line(left_out));
  }
  if (const auto& chat = task.data().chat) {
    progress.line("template     " + chat->description);
    progress.line(fmt::format("first sample, ⟦trained on⟧:\n{}", chat->sample));
  }
  progress.line(fmt::format(
      "global batch {} samples in {} micro-batches, {} steps",
      task.global_batch(),
      num_micro_batches(task, batching),
      task.total_steps()));
}

std::string worst_samples(const Task& task, int64_t step) {
  constexpr size_t kMost = 3;
  const Range window = task.window_range(step);
  std::vector<std::pair<double, int64_t>> losses; // and positions
  for (int64_t i = window.begin; i < window.end; ++i) {
    const double loss = sample_loss(
        task.objective(),
        task.model(),
        task.data().sample_at(i),
        task.data().index_at(i));
    losses.emplace_back(std::isnan(loss) ? HUGE_VAL : loss, i);
  }
  std::ranges::sort(losses, std::ranges::greater{});
  std::string text = "highest losses:";
  for (size_t i = 0; i < std::min(kMost, losses.size()); ++i) {
    text += fmt::format(
        "{} sample {} ({:.3f})",
        i > 0 ? "," : "",
        task.data().sample_at(losses[i].second).id,
        losses[i].first);
  }
  return text;
}

} // namespace accrue
