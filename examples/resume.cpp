// SPDX-License-Identifier: Apache-2.0

// Stops in the middle of a window, saves everything to one safetensors file,
// and goes on with new objects. The weights are then byte for byte those of a
// run that was never stopped.
#include <accrue/accrue.h>
#include <torch/torch.h>

#include <cstdio>
#include <string>
#include <vector>

constexpr int kSteps = 6;
constexpr int64_t kMicroBatches = 4;

/// Everything that a run needs. A run is made again from the same seed.
struct Run {
  torch::nn::Sequential net{make_net()};
  accrue::AdamW optimizer{net->parameters(), {.lr = 0.01}};
  accrue::Window window{net->parameters()};

  static torch::nn::Sequential make_net() {
    torch::manual_seed(1);
    return torch::nn::Sequential(
        torch::nn::Linear(3, 16), torch::nn::Tanh(), torch::nn::Linear(16, 1));
  }

  /// Adds micro-batch `index` of `step`. The data is a function of the
  /// position.
  void add(int step, int64_t index) {
    torch::manual_seed(100 + step * kMicroBatches + index);
    auto x = torch::randn({8, 3});
    auto error = net->forward(x).squeeze(1) - x.prod(1);
    window.add({.sum = error.pow(2).sum(), .weight = error.numel()});
  }

  /// Goes on from micro-batch `index` of `step` to the end.
  void finish(int step, int64_t index) {
    for (; step < kSteps; ++step, index = 0) {
      for (; index < kMicroBatches; ++index) {
        add(step, index);
      }
      window.commit(optimizer, {.clip_norm = 1.0});
    }
  }
};

/// Weights, optimizer state and the unfinished window, by name.
void save(const Run& run, const std::string& path) {
  accrue::TensorMap file;
  for (const auto& named : run.net->named_parameters()) {
    file["weight." + named.key()] = named.value().detach();
  }
  for (const auto& [name, tensor] : run.optimizer.state()) {
    file["optimizer." + name] = tensor;
  }
  file["optimizer_steps"] = torch::tensor(run.optimizer.steps());
  const accrue::Window::Unfinished window = run.window.save();
  for (size_t i = 0; i < window.sums.sums.size(); ++i) {
    file["sum." + std::to_string(i)] = window.sums.sums[i].at(0);
  }
  file["losses"] = torch::tensor(window.losses, torch::kDouble);
  file["weights"] = torch::tensor(window.weights, torch::kDouble);
  accrue::save_safetensors(path, file);
}

void load(Run& run, const std::string& path) {
  const accrue::TensorMap file = accrue::load_safetensors(path);
  torch::NoGradGuard no_grad;
  for (auto& named : run.net->named_parameters()) {
    named.value().copy_(file.at("weight." + named.key()));
  }
  for (auto& [name, tensor] : run.optimizer.state()) {
    tensor.copy_(file.at("optimizer." + name)); // writes the live state
  }
  run.optimizer.set_steps(file.at("optimizer_steps").item<int64_t>());
  accrue::Window::Unfinished window;
  for (size_t i = 0; i < run.window.parameters().size(); ++i) {
    window.sums.sums.push_back({file.at("sum." + std::to_string(i))});
  }
  const at::Tensor losses = file.at("losses");
  const at::Tensor weights = file.at("weights");
  for (int64_t i = 0; i < losses.numel(); ++i) {
    window.losses.push_back(losses[i].item<double>());
    window.weights.push_back(weights[i].item<double>());
    window.skipped.push_back(false);
  }
  run.window.restore(window);
}

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "resume.safetensors";
  Run whole;
  whole.finish(0, 0);
  {
    Run stopped; // after 3 steps and 2 of 4 micro-batches
    for (int step = 0; step < 3; ++step) {
      for (int64_t i = 0; i < kMicroBatches; ++i) {
        stopped.add(step, i);
      }
      stopped.window.commit(stopped.optimizer, {.clip_norm = 1.0});
    }
    stopped.add(3, 0);
    stopped.add(3, 1);
    save(stopped, path);
  }
  Run resumed;
  load(resumed, path);
  resumed.finish(3, 2);

  bool equal = true;
  for (size_t i = 0; i < whole.net->parameters().size(); ++i) {
    equal &=
        torch::equal(whole.net->parameters()[i], resumed.net->parameters()[i]);
  }
  std::printf("weights of both runs are %s\n", equal ? "equal" : "different");
  return equal ? 0 : 1;
}
