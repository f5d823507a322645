// SPDX-License-Identifier: Apache-2.0

// A convolutional net on the CPU or a GPU: example_convnet [cpu|cuda|cuda:1]. A
// batch of 256 images goes through it as many at a time as the memory allows,
// and the step is that of the whole batch. On a GPU the budget counts what the
// program takes there.
//
// Prints the loss and the size of the micro-batches.
#include <accrue/accrue.h>
#include <torch/torch.h>

#include <cstdio>

using namespace accrue::literals;

struct Net : torch::nn::Module {
  torch::nn::Conv2d first{register_module(
      "first",
      torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 16, 3).padding(1)))};
  torch::nn::Conv2d second{register_module(
      "second",
      torch::nn::Conv2d(torch::nn::Conv2dOptions(16, 16, 3).stride(2)))};
  torch::nn::Linear out{register_module("out", torch::nn::Linear(784, 4))};

  /// Logits [N, 4] of images [N, 1, 16, 16].
  at::Tensor forward(const at::Tensor& x) {
    return out(torch::relu(second(torch::relu(first(x)))).flatten(1));
  }
};

/// Noise, in which one of four bands is brighter, and which one that is.
torch::data::Example<> random_images(int64_t count, at::Device device) {
  auto band = torch::randint(4, {count});
  auto rows = torch::arange(16).div(4, "floor");
  auto bright = rows.unsqueeze(0).eq(band.unsqueeze(1)).view({count, 1, 16, 1});
  auto images = torch::randn({count, 1, 16, 16}) + bright;
  return {images.to(device), band.to(device)};
}

int main(int argc, char** argv) try {
  // First of all: nobody may have asked LibTorch about CUDA before.
  const at::Device device = accrue::open_device(argc > 1 ? argv[1] : "cpu");
  torch::manual_seed(0);
  auto net = std::make_shared<Net>();
  net->to(device);
  torch::optim::AdamW optimizer(net->parameters(), 0.01);
  accrue::Accumulate step(
      net, optimizer, {.global_batch = 256, .memory = 2_GiB});

  auto loss_fn = [&](const torch::data::Example<>& micro) {
    auto losses = torch::cross_entropy_loss(
        net->forward(micro.data), micro.target, {}, at::Reduction::Sum);
    return accrue::LossSum{.sum = losses, .weight = micro.target.numel()};
  };
  double loss = 0;
  for (int i = 1; i <= 20; ++i) {
    loss = step(random_images(256, device), loss_fn).loss;
    if (i == 1 || i % 10 == 0) {
      std::printf(
          "step %d: loss %.4f, up to %d images at once\n",
          i,
          loss,
          static_cast<int>(step.micro_batch()));
    }
  }
  return loss < 0.3 ? 0 : 1;
} catch (const accrue::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
