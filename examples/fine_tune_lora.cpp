// SPDX-License-Identifier: Apache-2.0

// Fine-tunes a frozen model with LoRA and saves the adapters. The folder has a
// config.json and a model.safetensors in the names of Hugging Face; to need no
// download, the program writes a tiny random one first.
//
// Prints the loss before and after, and that of the saved adapters.
#include <accrue/accrue.h>
#include <torch/torch.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <vector>

namespace fs = std::filesystem;
using Tokens = std::vector<int64_t>;

/// Stands in for a downloaded model.
void write_base_model(const fs::path& folder) {
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({
    "model_type": "gpt2", "vocab_size": 16, "n_positions": 32,
    "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2})";
  accrue::Transformer base(
      accrue::read_model_config(folder), accrue::Dtype::kFp32, /*seed=*/1);
  accrue::save_safetensors(folder / "model.safetensors", base.state());
}

/// The frozen model of a folder with adapters on every linear layer.
accrue::Transformer open_with_lora(const fs::path& folder) {
  accrue::Transformer model(
      accrue::read_model_config(folder),
      {.lora = accrue::LoraOptions{.rank = 4}});
  accrue::load_safetensors(folder / "model.safetensors", model.state());
  return model;
}

/// Lays sequences end to end. The first `prompt` tokens of each are not trained
/// on.
accrue::TokenBatch make_batch(
    std::span<const Tokens> sequences,
    int64_t prompt) {
  accrue::TokenBatch batch;
  Tokens tokens;
  Tokens targets;
  Tokens positions;
  std::vector<double> weights;
  batch.offsets = {0};
  for (const Tokens& sequence : sequences) {
    auto length = static_cast<int64_t>(sequence.size()) - 1;
    for (int64_t i = 0; i < length; ++i) {
      tokens.push_back(sequence[i]);
      targets.push_back(sequence[i + 1]);
      positions.push_back(i);
      weights.push_back(i + 1 < prompt ? 0 : 1);
    }
    batch.sample_ids.push_back(batch.sample_ids.size());
    batch.offsets.push_back(batch.offsets.back() + length);
  }
  batch.target_weight = std::reduce(weights.begin(), weights.end());
  batch.tokens = torch::tensor(tokens);
  batch.targets = torch::tensor(targets);
  batch.positions = torch::tensor(positions);
  batch.weights = torch::tensor(weights, torch::kDouble);
  return batch;
}

/// Tasks of two tokens and their answers: the same tokens, three times.
std::vector<Tokens> make_data() {
  std::vector<Tokens> data;
  for (int64_t a = 0; a < 8; ++a) {
    for (int64_t b = 8; b < 16; ++b) {
      data.push_back({a, b, a, b, a, b, a, b});
    }
  }
  return data;
}

double mean_loss(
    const accrue::Transformer& model,
    const accrue::TokenBatch& all) {
  return model.loss_sum(all).item<double>() / all.target_weight;
}

int main(int argc, char** argv) {
  const fs::path folder = argc > 1 ? argv[1] : "fine_tune_lora";
  write_base_model(folder);
  const std::vector<Tokens> data = make_data();
  const accrue::TokenBatch all = make_batch(data, /*prompt=*/2);

  accrue::Transformer model = open_with_lora(folder);
  accrue::Window window(model.parameters()); // the adapters only
  accrue::AdamW optimizer(model.parameters(), {.lr = 0.03});
  const double before = mean_loss(model, all);
  for (int step = 0; step < 40; ++step) {
    for (auto micro : accrue::split(data, /*micro_batch=*/24)) {
      window.add(model.loss(make_batch(micro, /*prompt=*/2)));
    }
    window.commit(optimizer, {.clip_norm = 1.0});
  }
  const double after = mean_loss(model, all);
  accrue::save_safetensors(folder / "adapters.safetensors", model.adapters());

  accrue::Transformer loaded = open_with_lora(folder);
  accrue::load_safetensors(folder / "adapters.safetensors", loaded.adapters());
  const double again = mean_loss(loaded, all);
  std::printf("loss %.4f, trained %.4f, loaded %.4f\n", before, after, again);
  return after < before / 2 && again == after ? 0 : 1;
}
