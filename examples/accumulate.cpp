// SPDX-License-Identifier: Apache-2.0

// accrue::Accumulate: gives your own module a batch of 512 samples and a memory
// budget. Accumulate splits the batch, doubles the micro-batch, at first one
// sample, as long as that is faster and fits, and runs a window again in
// smaller pieces if memory runs out.
//
// Prints the loss and the number of micro-batches, which falls while larger
// ones prove faster.
#include <accrue/accrue.h>
#include <torch/torch.h>

#include <cstdio>

using namespace accrue::literals;

struct Net : torch::nn::Module {
  torch::nn::Linear in{register_module("in", torch::nn::Linear(8, 128))};
  torch::nn::Linear out{register_module("out", torch::nn::Linear(128, 4))};

  /// Logits [N, 4] of x [N, 8].
  at::Tensor forward(const at::Tensor& x) {
    return out(torch::gelu(in(x)));
  }
};

/// Points and the number of the quadrant that their first two coordinates are
/// in.
torch::data::Example<> random_batch(int64_t size) {
  auto x = torch::randn({size, 8});
  auto positive = (x > 0).to(torch::kLong);
  return {x, positive.select(1, 0) * 2 + positive.select(1, 1)};
}

int main() {
  torch::manual_seed(0);
  auto net = std::make_shared<Net>();
  accrue::AdamW optimizer(net->parameters(), {.lr = 0.01});
  accrue::Accumulate step(
      net, optimizer, {.global_batch = 512, .memory = 2_GiB, .clip_norm = 1.0});

  auto loss_fn = [&](const torch::data::Example<>& micro) {
    auto losses = torch::cross_entropy_loss(
        net->forward(micro.data), micro.target, {}, at::Reduction::Sum);
    return accrue::LossSum{.sum = losses, .weight = micro.target.numel()};
  };
  double loss = 0;
  for (int i = 1; i <= 30; ++i) {
    accrue::StepReport report = step(random_batch(512), loss_fn);
    loss = report.loss;
    if (i == 1 || i % 10 == 0) {
      std::printf(
          "step %d: loss %.4f in %d micro-batches\n",
          i,
          loss,
          static_cast<int>(report.micro_batches));
    }
  }
  return loss < 0.3 ? 0 : 1;
}
