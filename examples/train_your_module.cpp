// SPDX-License-Identifier: Apache-2.0

// Trains a module of your own at a batch of 256 rows in micro-batches of 16.
// The loop is LibTorch's; accrue::Window replaces zero_grad and backward.
//
// Prints: "step 40: loss ..." falling below 0.05 from about 1.
#include <accrue/accrue.h>
#include <torch/torch.h>

#include <cstdio>

struct Net : torch::nn::Module {
  torch::nn::Linear in{register_module("in", torch::nn::Linear(2, 32))};
  torch::nn::Linear out{register_module("out", torch::nn::Linear(32, 1))};

  at::Tensor forward(const at::Tensor& x) {
    return out(torch::tanh(in(x)));
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
      auto error = net.forward(micro.data).squeeze(1) - micro.target;
      window.add({.sum = error.pow(2).sum(), .weight = error.numel()});
    }
    loss = window.commit(optimizer, {.clip_norm = 1.0}).loss;
    if (step % 10 == 0) {
      std::printf("step %d: loss %.4f\n", step, loss);
    }
  }
  return loss < 0.05 ? 0 : 1;
}
