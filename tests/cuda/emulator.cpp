// SPDX-License-Identifier: Apache-2.0
#include "emulator.h"

#include <fmt/format.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <memory>

#include "accrue/core/error.h"

namespace accrue::tensor::cuda::emulator {
namespace {

constexpr unsigned kWarp = 32;
constexpr unsigned kMaxThreads = 1024;
constexpr size_t kStackBytes = size_t{1} << 16;

enum class State { kReady, kWaitsForWarp, kWaitsForBlock, kEnded };

/// One thread of a block. It is kept for the blocks that follow. Jumps between
/// fibers take a fraction of the time of swapcontext(), which asks the kernel.
struct Fiber {
  jmp_buf place = {}; // where it goes on
  bool exists = false;
  std::unique_ptr<std::byte[]> stack;
  State state = State::kEnded;
  /// Values that the fiber has given to its warp. A fiber can be at most one
  /// exchange ahead of others, so two places suffice.
  std::array<uint64_t, 2> given = {};
  unsigned exchanges = 0;
};

/// The block that runs.
struct Block {
  std::vector<Fiber> fibers = std::vector<Fiber>(kMaxThreads);
  jmp_buf scheduler = {};
  const std::function<void()>* kernel = nullptr;

  Fiber& current() {
    return fibers[current_thread.x];
  }
};
Block block;

/// Goes back to the scheduler, until it lets the fiber go on.
void leave(Fiber& fiber) {
  if (_setjmp(fiber.place) == 0) {
    _longjmp(block.scheduler, 1);
  }
}

/// Runs the kernel of every block.
void run_kernels() {
  for (;;) {
    (*block.kernel)();
    block.current().state = State::kEnded;
    leave(block.current());
  }
}

/// Lets a fiber run until it leaves.
void go_on(Fiber& fiber) {
  if (_setjmp(block.scheduler) != 0) {
    return;
  }
  if (fiber.exists) {
    _longjmp(fiber.place, 1);
  }
  fiber.exists = true;
  if (fiber.stack == nullptr) {
    fiber.stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  }
  ucontext_t context = {};
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.get();
  context.uc_stack.ss_size = kStackBytes;
  makecontext(&context, run_kernels, 0);
  setcontext(&context);
}

void start(Fiber& fiber) {
  fiber.state = State::kReady;
  fiber.exchanges = 0;
}

/// Makes fibers ready if all of them wait for each other. Returns whether they
/// do.
bool release(std::span<Fiber> fibers, State waiting) {
  if (!std::ranges::all_of(
          fibers, [&](const Fiber& f) { return f.state == waiting; })) {
    return false;
  }
  for (Fiber& fiber : fibers) {
    fiber.state = State::kReady;
  }
  return true;
}

/// Returns i, or the i-th number from the end.
unsigned in_order(unsigned i, unsigned count, Order order) {
  return order == Order::kForward ? i : count - 1 - i;
}

/// Runs the threads of a warp until all wait for the block or have ended.
/// Threads of a warp that lacks some can't exchange values.
void run_warp(std::span<Fiber> fibers, unsigned first, Order order) {
  auto count = std::min(kWarp, static_cast<unsigned>(fibers.size()) - first);
  do {
    for (unsigned i = 0; i < count; ++i) {
      current_thread.x = first + in_order(i, count, order);
      if (block.current().state == State::kReady) {
        go_on(block.current());
      }
    }
  } while (count == kWarp &&
           release(fibers.subspan(first, count), State::kWaitsForWarp));
}

void check_ended(const char* kernel, std::span<Fiber> fibers) {
  auto count = [&](State state) {
    return std::ranges::count(fibers, state, &Fiber::state);
  };
  if (count(State::kEnded) != std::ssize(fibers)) {
    for (Fiber& fiber : fibers) {
      fiber.exists = false; // it would go on in this kernel
    }
    throw Error(fmt::format(
        "[emulator] {}: not all threads come to a barrier: of {} threads of a "
        "block, {} wait for the block, {} for their warp, {} have ended",
        kernel,
        fibers.size(),
        count(State::kWaitsForBlock),
        count(State::kWaitsForWarp),
        count(State::kEnded)));
  }
}

void run_block(const char* kernel, unsigned threads, Order order) {
  std::span<Fiber> fibers = std::span(block.fibers).first(threads);
  std::ranges::for_each(fibers, start);
  const unsigned warps = (threads + kWarp - 1) / kWarp;
  do {
    for (unsigned i = 0; i < warps; ++i) {
      run_warp(fibers, in_order(i, warps, order) * kWarp, order);
    }
  } while (release(fibers, State::kWaitsForBlock));
  check_ended(kernel, fibers);
}

void check_arguments(
    const char* name,
    const Kernel& kernel,
    std::span<const Argument> arguments) {
  if (arguments.size() != kernel.sizes.size()) {
    throw Error(fmt::format(
        "[emulator] {} has {} parameters, got {} arguments",
        name,
        kernel.sizes.size(),
        arguments.size()));
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].size != kernel.sizes[i]) {
      throw Error(fmt::format(
          "[emulator] {}: parameter {} has {} bytes, got an argument of {}",
          name,
          i + 1,
          kernel.sizes[i],
          arguments[i].size));
    }
  }
}

} // namespace

void Emulator::launch(
    const char* kernel,
    const Grid& grid,
    std::span<const Argument> arguments) const {
  auto found = kernels_.find(kernel);
  if (found == kernels_.end()) {
    throw Error(fmt::format("[emulator] there is no kernel {}", kernel));
  }
  check_arguments(kernel, found->second, arguments);
  if (grid.x == 0 || grid.y == 0 || grid.y > 65535 || grid.threads == 0 ||
      grid.threads > kMaxThreads) {
    throw Error(fmt::format(
        "[emulator] {}: no device has a grid of {} by {} blocks of {} threads",
        kernel,
        grid.x,
        grid.y,
        grid.threads));
  }
  const std::function<void()> call = [&] { found->second.call(arguments); };
  block.kernel = &call;
  block_size = {grid.threads, 1};
  grid_size = {grid.x, grid.y};
  const unsigned blocks = grid.x * grid.y;
  for (unsigned i = 0; i < blocks; ++i) {
    unsigned number = in_order(i, blocks, order_);
    current_block = {number % grid.x, number / grid.x};
    run_block(kernel, grid.threads, order_);
  }
}

void wait_for(Scope scope) {
  Fiber& fiber = block.current();
  fiber.state =
      scope == Scope::kWarp ? State::kWaitsForWarp : State::kWaitsForBlock;
  leave(fiber);
}

uint64_t exchange(uint64_t value, unsigned lane) {
  Fiber& fiber = block.current();
  const unsigned place = fiber.exchanges % 2;
  const unsigned from = current_thread.x / kWarp * kWarp + lane;
  ++fiber.exchanges;
  fiber.given[place] = value;
  wait_for(Scope::kWarp);
  return block.fibers[from].given[place];
}

unsigned lane() {
  return current_thread.x % kWarp;
}

} // namespace accrue::tensor::cuda::emulator
