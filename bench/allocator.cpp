// SPDX-License-Identifier: Apache-2.0

// Measures a model on accrue's allocator and on LibTorch's own: medians and
// their ratio, then the time that counting alone takes.

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <mutex>
#include <unordered_map>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/window/window.h"
#include "compare.h"
#include "device/memory.h"
#include "device/process.h"

namespace {

/// Forwards requests to LibTorch's allocator and records them.
class Recorder final : public c10::Allocator {
 public:
  struct Event {
    void* data;
    size_t size; // 0: freed
  };
  Recorder(c10::Allocator* inner, std::vector<Event>& events) : inner_(inner) {
    events_ = &events;
    release_ = inner->raw_deleter();
  }
  /// Blocks that outlive it are no longer recorded.
  ~Recorder() override {
    events_ = nullptr;
  }
  c10::DataPtr allocate(size_t size) override {
    c10::DataPtr block = inner_->allocate(size);
    record({block.get(), size});
    TORCH_CHECK(block.compare_exchange_deleter(release_, &forget));
    return block;
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return &forget;
  }
  void copy_data(void* dest, const void* src, size_t count) const override {
    default_copy_data(dest, src, count);
  }

 private:
  static void forget(void* data) {
    record({data, 0}); // before another thread can be given it
    release_(data);
  }
  static void record(Event event) {
    std::lock_guard lock(mutex_);
    if (events_ != nullptr) {
      events_->push_back(event);
    }
  }

  c10::Allocator* inner_;
  static inline std::mutex mutex_;
  static inline std::vector<Event>* events_ = nullptr;
  static inline c10::DeleterFnPtr release_ = nullptr;
};

/// Repeats the recorded requests with nothing in between.
void replay(
    c10::Allocator* allocator,
    const std::vector<Recorder::Event>& events) {
  std::unordered_map<void*, c10::DataPtr> blocks;
  for (const Recorder::Event& event : events) {
    if (event.size > 0) {
      blocks[event.data] = allocator->allocate(event.size);
    } else {
      blocks.erase(event.data);
    }
  }
}

/// Times forward and backward of gpt2-10m with LibTorch's allocator and with
/// accrue's, then the counting alone.
void allocators() {
  accrue::ModelConfig config;
  config.vocab_size = 256;
  config.width = 384;
  config.num_layers = 6;
  config.num_heads = config.num_kv_heads = 6;
  config.head_dim = 64;
  config.mlp_width = 1536;
  config.max_positions = 256;
  c10::Allocator* theirs = c10::GetCPUAllocator();
  static const accrue::device::AllocatorScope allocator;
  c10::Allocator* ours = c10::GetCPUAllocator();
  accrue::Transformer model(config, accrue::Dtype::kBf16, 1);
  accrue::Window window(model.parameters());
  auto pass = [&](c10::Allocator* allocator, int64_t samples) {
    c10::SetCPUAllocator(allocator, /*priority=*/1);
    accrue::TokenBatch batch;
    batch.offsets = offsets_of(samples, 256);
    batch.sample_ids = ids_of(samples);
    batch.tokens = torch::randint(0, 256, {samples * 256});
    batch.targets = batch.tokens;
    batch.weights = torch::ones({samples * 256}, at::kDouble);
    batch.positions = torch::arange(256).repeat({samples});
    batch.target_weight = static_cast<double>(samples * 256);
    window.add({.sum = model.loss_sum(batch), .weight = batch.target_weight});
  };
  for (int64_t samples : {4, 16}) {
    compare(
        fmt::format("gpt2-10m bf16, micro-batch of {}", samples),
        [&] { pass(ours, samples); },
        [&] { pass(theirs, samples); });
  }
  constexpr int kPasses = 16; // of 4 samples: a step
  std::vector<Recorder::Event> events;
  {
    Recorder recorder(ours, events);
    pass(&recorder, 4);
    c10::SetCPUAllocator(ours, /*priority=*/1);
  }
  double step = seconds([&] {
    for (int i = 0; i < kPasses; ++i) {
      pass(ours, 4);
    }
  });
  double counting = seconds([&] {
    for (int i = 0; i < kPasses; ++i) {
      replay(ours, events);
    }
    accrue::device::peak_resident_bytes();
  });
  fmt::print(
      "\nThe meter alone: every allocation of a step of {} micro-batches once "
      "more, {} calls, and the resident peak read from /proc: {:.2f} ms of "
      "{:.0f} ms, {:.2f} %.\n",
      kPasses,
      kPasses * events.size(),
      counting * 1e3,
      step * 1e3,
      100 * counting / step);
}

} // namespace

int main() {
  print_head("allocator");
  allocators();
  return 0;
}
