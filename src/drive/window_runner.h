// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "accrue/window/split.h"
#include "accrue/window/window.h"
#include "device/memory.h"
#include "drive/backoff.h"
#include "drive/micro_batching.h"

namespace accrue::drive {

/// Sums over samples that are reported beside the loss.
struct Totals {
  int64_t tokens = 0; // through the model
  int64_t target_tokens = 0; // trained on
  std::vector<double> figures; // of the objective, in its order

  Totals& operator+=(const Totals& other);
};

/// Measurements of one micro-batch.
struct MicroBatchRun {
  Range samples;
  double seconds = 0; // on a device only if wants_times()
  uint64_t peak_bytes = 0; // of tensors
};

/// The samples of one window, numbered from 0, and their losses.
class WindowWork {
 public:
  virtual ~WindowWork() = default;

  virtual int64_t num_samples() const = 0;
  /// Tokens of a sample, which limit the size of a micro-batch.
  virtual int64_t num_tokens(int64_t sample) const;
  /// Most tokens of a grain: consecutive samples that are never in different
  /// micro-batches, as many as fit, at least one. 0: every sample is one.
  virtual int64_t grain_tokens() const {
    return 0;
  }
  /// Whether the times of on_micro_batch() must be those of the device, which
  /// the host then waits for.
  virtual bool wants_times() const {
    return false;
  }
  /// Called before every try of the window: undoes what a failed try has
  /// changed outside the window.
  virtual void begin_try() {}
  /// Adds the loss of consecutive samples to the window. Returns nullopt if the
  /// window left them out because they were not finite.
  virtual std::optional<Totals> add(
      Window& window,
      Range samples,
      bool recompute) = 0;
  /// Called after every micro-batch.
  virtual void on_micro_batch(const MicroBatchRun&) {}
  /// Called when memory ran out and the window is about to be run again.
  virtual void on_rollback(const std::string& /*message*/) {}

  /// Name of a sample in messages: "sample 7 (12 tokens)".
  virtual std::string name(int64_t sample) const = 0;
  /// Advice for a sample that does not fit, alone.
  virtual std::string memory_advice(bool recompute) const = 0;
  /// Sentences that follow the message of a NonFiniteError; `samples` are those
  /// of the micro-batch, if the fault is of one.
  virtual std::string nonfinite_advice(std::optional<Range> samples) const;
};

/// Outcome of one window.
struct WindowResult {
  StepReport report; // of run()
  Totals totals;
  int64_t micro_batch = 0; // samples in the largest
  int64_t accumulation_steps = 0;
  int64_t skipped = 0; // samples, by policy
  int64_t rollbacks = 0; // tries that ran out of memory
  uint64_t peak_bytes = 0; // of tensors
  double seconds = 0; // of the last try
  std::vector<Range> added; // samples of every micro-batch of the window
};

/// The driver of a window: split → loss → add. When memory runs out, it rolls
/// the window back and runs it again with smaller micro-batches, then with
/// recomputation. When a micro-batch is left out because it is not finite, it
/// tries the grains of that micro-batch one by one, and the samples of a grain
/// that is not finite, so that the split does not decide which samples are left
/// out.
class WindowRunner {
 public:
  /// `may_recompute`: whether a sample that does not fit alone may be run with
  /// activation checkpointing.
  WindowRunner(
      Window& window,
      const MicroBatching& batching,
      bool may_recompute = false,
      device::DeviceMemory& memory = device::host_memory());

  /// Runs a window until it is normalized; Window::step() is next. Throws
  /// MemoryError for a sample that does not fit alone.
  WindowResult run(WindowWork& work, const CommitOptions& options = {});

  /// Adds the micro-batches once and does not normalize. Returns nullopt if
  /// memory ran out; the window has begun anew then.
  std::optional<WindowResult> try_once(WindowWork& work);

  const MicroBatching& batching() const {
    return batching_.current();
  }
  /// Takes effect with the next micro-batch.
  void set_batching(const MicroBatching& batching) {
    batching_ = Backoff(batching);
  }

 private:
  struct Failure {
    Range samples;
    std::string message;
  };

  Range grain_at(const WindowWork& work, int64_t begin) const;
  Range micro_batch_at(const WindowWork& work, int64_t begin) const;
  void add(WindowWork& work, Range samples, WindowResult& result);
  void shrink(WindowWork& work, const Failure& failure);

  Window& window_;
  Backoff<MicroBatching> batching_;
  bool may_recompute_;
  device::DeviceMemory& memory_;
  Failure failure_; // of the last try that ran out of memory
};

} // namespace accrue::drive
