// SPDX-License-Identifier: Apache-2.0
#include "accrue/drive/accumulate.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include "accrue/core/error.h"
#include "device/budget.h"
#include "drive/fit_table.h"
#include "drive/out_of_memory.h"
#include "drive/window_runner.h"

namespace accrue {
namespace {

/// Passes of one size before it is judged; the first, on fresh pages, is not
/// timed.
constexpr int64_t kPasses = 4;

/// Bytes of trained parameters.
uint64_t trained_bytes(const std::vector<at::Tensor>& parameters) {
  uint64_t bytes = 0;
  for (const at::Tensor& parameter : parameters) {
    bytes += parameter.requires_grad() ? parameter.nbytes() : 0;
  }
  return bytes;
}

} // namespace

/// Copies of the buffers and random states that a forward pass may change.
class Accumulate::Snapshot {
 public:
  Snapshot(const std::vector<at::Tensor>& buffers, at::Device device)
      : buffers_(buffers) {
    for (const at::Tensor& buffer : buffers) {
      copies_.push_back(buffer.clone());
    }
    devices_.push_back(at::kCPU);
    if (!device.is_cpu()) {
      devices_.push_back(device);
    }
    for (const at::Device& known : devices_) {
      at::Generator generator = at::globalContext().defaultGenerator(known);
      std::lock_guard lock(generator.mutex());
      random_.push_back(generator.get_state());
    }
  }

  void restore() const {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < copies_.size(); ++i) {
      at::Tensor buffer = buffers_[i];
      buffer.copy_(copies_[i]);
    }
    for (size_t i = 0; i < devices_.size(); ++i) {
      at::Generator generator =
          at::globalContext().defaultGenerator(devices_[i]);
      std::lock_guard lock(generator.mutex());
      generator.set_state(random_[i]);
    }
  }

 private:
  const std::vector<at::Tensor>& buffers_;
  std::vector<at::Tensor> copies_;
  std::vector<at::Device> devices_;
  std::vector<at::Tensor> random_;
};

class Accumulate::Impl {
 public:
  Impl(
      std::vector<at::Tensor> parameters,
      std::vector<at::Tensor> buffers,
      Step step,
      bool optimizer_has_state,
      const AccumulateOptions& options)
      : options_(options),
        window_(std::move(parameters), {.on_nonfinite = options.on_nonfinite}),
        buffers_(std::move(buffers)),
        step_(std::move(step)),
        runner_(
            window_,
            {.max_samples = std::min(
                 options.micro_batch.value_or(1),
                 options.global_batch)},
            /*may_recompute=*/false,
            memory()),
        settled_(options.micro_batch.has_value()) {
    if (!optimizer_has_state) { // as for AdamW
      optimizer_bytes_ = 2 * trained_bytes(window_.parameters());
    }
    if (options.memory) {
      if (device().is_cpu()) {
        allocator_.emplace();
      }
      budget_.emplace(options.memory->value, memory());
      tensor_limit_ = budget_->limit_tensors(memory().program());
    }
  }

  StepReport run(int64_t samples, const LossOf& loss_of);

  int64_t micro_batch() const {
    const drive::MicroBatching& batching = runner_.batching();
    return std::min(batching.max_samples, batching.max_tokens);
  }
  int64_t rollbacks() const {
    return rollbacks_;
  }
  void learn(const drive::MicroBatchRun& run);

 private:
  /// The module's present device: the module may have been moved.
  at::Device device() const {
    return window_.parameters().front().device();
  }
  /// Memory of that device; of the host for devices without a budget.
  device::DeviceMemory& memory() const {
    const at::Device device = this->device();
    return device.is_cpu() || device.is_cuda() || options_.memory
        ? device::memory_of(device)
        : device::host_memory();
  }

  AccumulateOptions options_;
  std::optional<device::AllocatorScope> allocator_;
  std::optional<device::Budget> budget_;
  Window window_;
  std::vector<at::Tensor> buffers_;
  Step step_;
  drive::WindowRunner runner_;
  drive::FitTable table_; // of sizes tried so far
  int64_t passes_ = 0; // of the present size
  bool settled_;
  uint64_t tensor_limit_ = std::numeric_limits<int64_t>::max();
  uint64_t optimizer_bytes_ = 0; // still to come with its first step
  int64_t rollbacks_ = 0;

  class Batch;
};

/// The user's batch as the work of a window.
class Accumulate::Impl::Batch final : public drive::WindowWork {
 public:
  Batch(Impl& impl, int64_t samples, const LossOf& loss_of)
      : impl_(impl),
        samples_(samples),
        loss_of_(loss_of),
        before_(impl.buffers_, impl.device()) {}

  int64_t num_samples() const override {
    return samples_;
  }
  bool wants_times() const override {
    return !impl_.settled_;
  }
  void begin_try() override {
    if (std::exchange(tried_, true)) {
      before_.restore();
    }
  }
  std::optional<drive::Totals> add(
      Window& window,
      Range samples,
      bool /*recompute*/) override {
    const bool added = window.add(loss_of_(samples));
    return added ? std::optional(drive::Totals()) : std::nullopt;
  }
  void on_micro_batch(const drive::MicroBatchRun& run) override {
    impl_.learn(run);
  }
  void on_rollback(const std::string& /*message*/) override {
    impl_.settled_ = true;
    ++impl_.rollbacks_;
  }
  std::string name(int64_t sample) const override {
    return fmt::format("sample {} of the batch", sample);
  }
  std::string memory_advice(bool /*recompute*/) const override {
    return "Raise the budget or shorten the sample.";
  }

 private:
  Impl& impl_;
  int64_t samples_;
  const LossOf& loss_of_;
  Snapshot before_;
  bool tried_ = false;
};

StepReport Accumulate::Impl::run(int64_t samples, const LossOf& loss_of) {
  if (samples > options_.global_batch) {
    throw ConfigError(fmt::format(
        "[accumulate] got {} samples for a global batch of {}. Give at most "
        "that many at once.",
        samples,
        options_.global_batch));
  }
  window_.begin(); // an error may have left something of the last
  Batch batch(*this, samples, loss_of);
  StepReport report =
      runner_.run(batch, {.clip_norm = options_.clip_norm}).report;
  if (auto message = drive::out_of_memory([&] { step_(window_); })) {
    throw MemoryError(fmt::format(
        "[memory] the optimizer's step ran out of memory: {} It is not "
        "repeated, and some parameters may be updated already. Raise the "
        "budget.",
        *message));
  }
  optimizer_bytes_ = 0; // the optimizer's state exists by now
  return report;
}

/// Doubles the micro-batch until twice in a row that is not faster, or does not
/// fit; then takes the fastest. A single time may be another program's fault.
void Accumulate::Impl::learn(const drive::MicroBatchRun& run) {
  const drive::MicroBatching size{.max_samples = run.samples.size()};
  if (settled_ || size.max_samples != micro_batch()) {
    return;
  }
  if (table_.probes.empty()) { // between micro-batches
    table_.probes.push_back({{.max_samples = 0}, memory().allocated(), 0});
  }
  if (++passes_ == 1) {
    table_.probes.push_back({size, run.peak_bytes, 0});
    return;
  }
  drive::Probe& probe = table_.probes.back();
  probe.tensor_bytes = std::max(probe.tensor_bytes, run.peak_bytes);
  probe.seconds =
      passes_ == 2 ? run.seconds : std::min(probe.seconds, run.seconds);
  if (passes_ < kPasses) {
    return;
  }
  passes_ = 0;
  const uint64_t limit =
      tensor_limit_ - std::min(tensor_limit_, optimizer_bytes_);
  const int64_t global_batch = options_.global_batch;
  const drive::MicroBatching fastest =
      table_.fastest(limit, global_batch).value_or(size);
  const drive::MicroBatching next{
      .max_samples = table_.next(size, limit, global_batch)};
  settled_ = next == size || 4 * fastest.max_samples <= size.max_samples;
  runner_.set_batching(settled_ ? fastest : next);
}

Accumulate::Accumulate(
    std::vector<at::Tensor> parameters,
    std::vector<at::Tensor> buffers,
    Step step,
    bool optimizer_has_state,
    const AccumulateOptions& options) {
  if (options.global_batch <= 0 || options.micro_batch.value_or(1) <= 0) {
    throw ConfigError(fmt::format(
        "[accumulate] global_batch and micro_batch must be > 0, got {} and {}.",
        options.global_batch,
        options.micro_batch.value_or(1)));
  }
  impl_ = std::make_unique<Impl>(
      std::move(parameters),
      std::move(buffers),
      std::move(step),
      optimizer_has_state,
      options);
}

Accumulate::~Accumulate() = default;

StepReport Accumulate::run(int64_t samples, const LossOf& loss_of) {
  return impl_->run(samples, loss_of);
}

int64_t Accumulate::micro_batch() const {
  return impl_->micro_batch();
}

int64_t Accumulate::rollbacks() const {
  return impl_->rollbacks();
}

} // namespace accrue
