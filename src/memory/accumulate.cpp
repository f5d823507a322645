#include "accrue/memory/accumulate.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>

#include "accrue/core/error.h"
#include "memory/budget.h"
#include "memory/meter.h"
#include "memory/retreat.h"

namespace accrue {
namespace {

/// Passes of one size before it is judged; the first, on fresh pages, is not
/// timed.
constexpr int64_t kPasses = 3;
/// A size must be faster than half of it by this to be worth its memory.
constexpr double kWorthwhile = 0.98;

/// What a forward pass may change beside gradients.
class Snapshot {
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

/// Of what is trained.
uint64_t bytes_of(const std::vector<at::Tensor>& tensors) {
  uint64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) {
    bytes += tensor.requires_grad() ? tensor.nbytes() : 0;
  }
  return bytes;
}

} // namespace

/// What is known of micro-batch sizes, and which one is in use.
struct MicroBatchSizes {
  struct Seen {
    int64_t passes = 0;
    uint64_t peak_bytes = 0;
    double seconds = 0; // of all passes but the first

    double per_sample(int64_t size) const {
      return seconds / static_cast<double>((passes - 1) * size);
    }
  };
  std::map<int64_t, Seen> seen;
  memory::Retreat<int64_t> current{1};
  bool settled = false;
};

Accumulate::Accumulate(
    std::vector<at::Tensor> parameters,
    std::vector<at::Tensor> buffers,
    Commit commit,
    bool optimizer_has_state,
    const AccumulateOptions& options)
    : window_(std::move(parameters), {.on_nonfinite = options.on_nonfinite}),
      buffers_(std::move(buffers)),
      commit_(std::move(commit)),
      options_(options),
      sizes_(std::make_unique<MicroBatchSizes>()) {
  if (options.global_batch <= 0 || options.micro_batch.value_or(1) <= 0) {
    throw ConfigError(fmt::format(
        "[accumulate] global_batch and micro_batch must be > 0, got {} and {}.",
        options.global_batch,
        options.micro_batch.value_or(1)));
  }
  if (options.micro_batch) {
    sizes_->current =
        memory::Retreat(std::min(*options.micro_batch, options.global_batch));
    sizes_->settled = true;
  }
  device();
  if (!optimizer_has_state) {
    optimizer_bytes_ = 2 * bytes_of(window_.parameters()); // as for AdamW
  }
  if (options.memory) {
    memory::install_allocator();
    limit_bytes_ =
        memory::hold_to_budget(options.memory->value, memory::program_bytes());
  }
}

Accumulate::~Accumulate() {
  if (options_.memory) {
    memory::set_limit(std::nullopt);
  }
}

/// Where the model is now: it may have been moved.
at::Device Accumulate::device() const {
  const at::Device device = window_.parameters().front().device();
  if (options_.memory && !device.is_cpu()) {
    throw ConfigError(
        "[accumulate] a budget can be held on the CPU only. Leave memory out: "
        "the device's own limit counts.");
  }
  return device;
}

int64_t Accumulate::micro_batch() const {
  return sizes_->current.now();
}

StepReport Accumulate::run(int64_t samples, const LossOf& loss_of) {
  if (samples > options_.global_batch) {
    throw ConfigError(fmt::format(
        "[accumulate] got {} samples for a global batch of {}. Give at most "
        "that many at once.",
        samples,
        options_.global_batch));
  }
  window_.begin(); // an error may have left something of the last
  const Snapshot before(buffers_, device());
  while (!try_window(samples, loss_of)) {
    before.restore();
    ++rollbacks_;
  }
  StepReport report;
  try {
    report = commit_(window_, {.clip_norm = options_.clip_norm});
  } catch (const c10::OutOfMemoryError& error) {
    throw MemoryError(fmt::format(
        "[memory] the optimizer's step ran out of memory: {} It is not "
        "repeated, and some parameters may be updated already. Raise the "
        "budget.",
        error.what_without_backtrace()));
  }
  optimizer_bytes_ = 0; // its state is there by now
  sizes_->current.window_done();
  return report;
}

/// False if memory ran out; the next try takes smaller pieces.
bool Accumulate::try_window(int64_t samples, const LossOf& loss_of) {
  int64_t begin = 0;
  while (begin < samples) {
    int64_t size = std::min(micro_batch(), samples - begin);
    memory::reset_peak();
    auto started = std::chrono::steady_clock::now();
    try {
      window_.add(loss_of({begin, begin + size}));
    } catch (const c10::OutOfMemoryError& error) {
      window_.begin();
      if (size == 1) {
        throw MemoryError(fmt::format(
            "[memory] sample {} of the batch does not fit, alone: {} Raise the "
            "budget or shorten the sample.",
            begin,
            error.what_without_backtrace()));
      }
      sizes_->current.to(size / 2);
      sizes_->settled = true;
      return false;
    }
    std::chrono::duration<double> elapsed =
        std::chrono::steady_clock::now() - started;
    if (size == micro_batch()) {
      learn(size, memory::peak_bytes(), elapsed.count());
    }
    begin += size;
  }
  return true;
}

/// Doubles the micro-batch as long as that is faster and fits.
void Accumulate::learn(int64_t size, uint64_t peak_bytes, double seconds) {
  MicroBatchSizes& sizes = *sizes_;
  MicroBatchSizes::Seen& seen = sizes.seen[size];
  seen.peak_bytes = std::max(seen.peak_bytes, peak_bytes);
  seen.seconds += seen.passes > 0 ? seconds : 0;
  ++seen.passes;
  if (sizes.settled || seen.passes < kPasses) {
    return;
  }
  auto half = sizes.seen.find(size / 2);
  if (half != sizes.seen.end() &&
      seen.per_sample(size) > kWorthwhile * half->second.per_sample(size / 2)) {
    sizes.current = memory::Retreat(size / 2);
    sizes.settled = true;
  } else if (2 * size <= options_.global_batch && fits(2 * size)) {
    sizes.current = memory::Retreat(2 * size);
  } else {
    sizes.settled = true;
  }
}

/// On the line through the two sizes below.
bool Accumulate::fits(int64_t size) const {
  if (limit_bytes_ == 0) {
    return true;
  }
  auto bytes = [&](int64_t samples) {
    auto it = sizes_->seen.find(samples);
    return it != sizes_->seen.end() ? it->second.peak_bytes
                                    : memory::live_bytes();
  };
  uint64_t below = bytes(size / 2);
  uint64_t rise = below - std::min(below, bytes(size / 4));
  uint64_t samples = size / 2 - size / 4;
  uint64_t predicted = below + rise / samples * static_cast<uint64_t>(size / 2);
  return predicted + optimizer_bytes_ <= limit_bytes_;
}

} // namespace accrue
