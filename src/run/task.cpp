// SPDX-License-Identifier: Apache-2.0
#include "run/task.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "accrue/device/device.h"
#include "accrue/optim/schedule.h"
#include "device/description.h"
#include "objectives/language_model.h"
#include "objectives/preference.h"
#include "tensor/environment.h"
#include "tensor/stream.h"

namespace accrue {
namespace {

/// Makes sure that weights, gradients and the optimizer's state fit, before any
/// of them is made.
void check_model_fits(
    const RunSpec& spec,
    bool adapters,
    const device::Budget& budget) {
  const TrainOptions& options = spec.options;
  const uint64_t slots = options.optimizer == OptimizerKind::kAdamW ? 2
      : options.momentum != 0                                       ? 1
                                                                    : 0;
  const uint64_t width = options.dtype == Dtype::kFp64 ? 8 : 4;
  // Only adapters are trained, and these are small.
  const uint64_t per_parameter =
      adapters ? frozen_width(spec.source, options.dtype) : (2 + slots) * width;
  const uint64_t budget_bytes = budget.total();
  const uint64_t needed = budget.memory().program() +
      budget.memory().reserved() +
      static_cast<uint64_t>(spec.source.config.num_parameters()) *
          per_parameter;
  if (needed > budget_bytes) {
    throw MemoryError(fmt::format(
        "[memory] not even one sample fits: weights, gradients, optimizer "
        "state and the program alone need {}, the budget is {}, {} are "
        "missing. Raise --memory, {}take a smaller model.",
        format_bytes(needed),
        format_bytes(budget_bytes),
        format_bytes(needed - budget_bytes),
        adapters ? "or " : "pass --lora-rank, or "));
  }
}

} // namespace

std::unique_ptr<Objective> make_objective(const TrainOptions& options) {
  if (options.objective == ObjectiveKind::kDpo) {
    return std::make_unique<Preference>(options.dpo_beta, options.dtype);
  }
  return std::make_unique<LanguageModel>();
}

Task::Task(
    const TrainOptions& options,
    bool needs_out,
    const ProgressCallback& tick,
    const Problems& known,
    std::unique_ptr<Objective> objective)
    : spec_(resolve(options, needs_out, known)),
      objective_(objective ? std::move(objective) : make_objective(options)),
      device_(open_device(options.device)),
      budget_(std::make_unique<device::Budget>(
          options.memory
              ? options.memory->value
              : device::Budget::default_bytes(device::memory_of(device_)),
          device::memory_of(device_))),
      data_(load_data(spec_, objective_->reads_pairs(), tick)) {
  const auto lora = lora_options(spec_, data_.trained_tokens);
  check_model_fits(spec_, lora.has_value(), *budget_);
  model_.emplace(open_model(
      spec_.source,
      {.dtype = options.dtype,
       .seed = static_cast<uint64_t>(options.seed),
       .lora = lora,
       .device = device_}));
}

std::string Task::device_name() const {
  return device::device_name(device_);
}

std::string Task::numerics() const {
  if (device_.is_cpu()) {
    return tensor::instruction_set().fused_multiply_add
        ? tensor::backend_name()
        : fmt::format("{}, no fused multiply-add", tensor::backend_name());
  }
  return fmt::format(
      "{}, {}, {} at once",
      device_name(),
      device::device_versions(device_),
      model_->computed_at_once());
}

int64_t Task::grain_tokens() const {
  if (device_.is_cpu()) {
    // The portable operations sum by grain, too, if they are given one.
    return tensor::sums_by_sample(device_) ? 0
                                           : options().grain_tokens.value_or(0);
  }
  return *options().grain_tokens;
}

Range Task::window_range(int64_t step) const {
  const int64_t begin = step * spec_.global_batch;
  return {begin, std::min(begin + spec_.global_batch, data_.total_samples)};
}

drive::MicroBatching Task::batching(const drive::MicroBatching& planned) const {
  drive::MicroBatching batching{.recompute = planned.recompute};
  if (options().micro_batch) {
    batching.max_samples = planned.max_samples;
  } else {
    batching.max_tokens = planned.max_samples * train_set().max_length();
  }
  return batching;
}

std::unique_ptr<Optimizer> Task::make_optimizer() const {
  const TrainOptions& o = options();
  if (o.optimizer == OptimizerKind::kSgd) {
    return std::make_unique<Sgd>(
        model_->parameters(),
        SgdOptions{
            .lr = o.lr,
            .momentum = o.momentum,
            .weight_decay = o.weight_decay});
  }
  return std::make_unique<AdamW>(
      model_->parameters(),
      AdamWOptions{
          .lr = o.lr,
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .eps = o.eps,
          .weight_decay = o.weight_decay});
}

double Task::learning_rate(int64_t step) const {
  const TrainOptions& o = options();
  return Schedule{
      .kind = o.schedule,
      .lr = o.lr,
      .min_lr = o.min_lr,
      .warmup_steps = o.warmup_steps,
      .total_steps = total_steps()}
      .at(step);
}

} // namespace accrue
