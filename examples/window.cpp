// SPDX-License-Identifier: Apache-2.0

// accrue::Window: trains your own module at a batch of 256 rows, in
// micro-batches of 16. The loop is LibTorch's; the window replaces zero_grad()
// and backward().
//
// Prints "step 40: loss ...", falling from about 1 to below 0.05.
#include <accrue/accrue.h>
#include <torch/torch.h>

#include <cstdio>

struct Net : torch::nn::Module {
  torch::nn::Linear in{register_module("in", torch::nn::Linear(2, 32))};
  torch::nn::Linear out{register_module("out", torch::nn::Linear(32, 1))};

  at::Tensor forward(const at::Tensor& x) {
    return out(torch::tanh(in(x))).squeeze(1);
  }
};

int main() {
  torch::manual_seed(0);
  Net net;
  torch::optim::AdamW optimizer(net.parameters(), 0.02);
  accrue::Window window(net.parameters());
  double loss = 0;
  for (int step = 1; step <= 40; ++step) {
    auto x = torch::rand({256, 2}) * 4 - 2;
    auto y = torch::sin(x.select(1, 0)) * x.select(1, 1);
    torch::data::Example<> batch{x, y};
    for (auto micro : accrue::split(batch, /*micro_batch=*/16)) {
      auto error = net.forward(micro.data) - micro.target;
      // The sum of the losses, not their mean, and what to divide it by.
      window.add({.sum = error.pow(2).sum(), .weight = error.numel()});
    }
    // Divides once, clips, steps the optimizer.
    loss = window.commit(optimizer, {.clip_norm = 1.0}).loss;
    if (step % 10 == 0) {
      std::printf("step %d: loss %.4f\n", step, loss);
    }
  }
  return loss < 0.05 ? 0 : 1;
}
