#include "train/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "accrue/core/units.h"
#include "train/option_names.h"

namespace accrue {

void describe(
    const Task& task,
    const Manner& manner,
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
      task.source().has_weights() ? "weights of " + task.source().base.string()
                                  : "fresh weights"));
  progress.line(fmt::format(
      "data         {} samples of up to {} tokens{}{}",
      task.train_set().size(),
      task.train_set().max_length(),
      task.valid_set()
          ? fmt::format(", {} for validation", task.valid_set()->size())
          : "",
      describe(task.counts())));
  for (const std::string& line : task.describe_data()) {
    progress.line(line);
  }
  if (!task.left_out().empty()) {
    progress.line(left_out_line(task.left_out()));
  }
  if (task.chat()) {
    progress.line("template     " + task.chat()->description);
    progress.line(
        fmt::format("first sample, ⟦trained on⟧:\n{}", task.chat()->sample));
  }
  progress.line(fmt::format(
      "global batch {} samples in {} micro-batches, {} steps",
      task.global_batch(),
      task.cut(task.window_range(0), manner).size(),
      task.total_steps()));
}

std::string worst_samples(const Task& task, int64_t step) {
  constexpr size_t kMost = 3;
  const Range window = task.window_range(step);
  std::vector<std::pair<double, int64_t>> losses; // and positions
  for (double loss : task.sample_losses(window)) {
    losses.emplace_back(
        std::isnan(loss) ? HUGE_VAL : loss,
        window.begin + static_cast<int64_t>(losses.size()));
  }
  std::ranges::sort(losses, std::ranges::greater{});
  std::string text = "highest losses:";
  for (size_t i = 0; i < std::min(kMost, losses.size()); ++i) {
    text += fmt::format(
        "{} sample {} ({:.3f})",
        i > 0 ? "," : "",
        task.sample_at(losses[i].second).id,
        losses[i].first);
  }
  return text;
}

} // namespace accrue
