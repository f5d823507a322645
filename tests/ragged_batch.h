// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "accrue/models/transformer.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"
#include "tensor/environment.h"

/// Skips a test of bits under operations whose products are those of LibTorch
/// for CPUs: their bits depend on where in memory a row begins.
#define ACCRUE_SKIP_WITHOUT_BITS()                                      \
  if (std::string_view(accrue::tensor::backend_name()) == "portable") { \
    GTEST_SKIP() << "products of this backend promise no bits";         \
  }

namespace accrue::testing {

/// The models of tests/oracle.
inline auto families() {
  return ::testing::Values(
      "gpt2",
      "llama",
      "llama_bias",
      "llama3_rope",
      "mistral",
      "qwen2",
      "qwen3");
}

/// Ragged samples with token weights; any consecutive part is a micro-batch.
struct RaggedBatch {
  at::Tensor tokens, targets, weights;
  std::vector<int64_t> lengths;

  int64_t size() const {
    return static_cast<int64_t>(lengths.size());
  }

  TokenBatch part(Range samples) const {
    TokenBatch batch;
    batch.offsets = {0};
    std::vector<at::Tensor> positions;
    int64_t begin = 0;
    for (int64_t i = 0; i < samples.end; ++i) {
      int64_t length = lengths[static_cast<size_t>(i)];
      if (i < samples.begin) {
        begin += length;
        continue;
      }
      batch.offsets.push_back(batch.offsets.back() + length);
      batch.sample_ids.push_back(static_cast<uint64_t>(i));
      positions.push_back(torch::arange(length));
    }
    int64_t end = begin + batch.offsets.back();
    batch.tokens = tokens.slice(0, begin, end);
    batch.targets = targets.slice(0, begin, end);
    batch.weights = weights.slice(0, begin, end);
    batch.positions = torch::cat(positions);
    batch.target_weight = batch.weights.sum().item<double>();
    return batch;
  }
};

inline RaggedBatch random_batch(
    const ModelConfig& config,
    std::vector<int64_t> lengths) {
  RaggedBatch batch;
  int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  batch.lengths = std::move(lengths);
  batch.tokens = torch::randint(config.vocab_size, {total});
  batch.targets = torch::randint(config.vocab_size, {total});
  batch.weights = torch::rand({total}, torch::kDouble) * 2;
  batch.weights.index_put_({torch::rand({total}) < 0.25}, 0);
  return batch;
}

inline RaggedBatch random_batch(const ModelConfig& config, int64_t samples) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < samples; ++i) {
    lengths.push_back(1 + (i * 7 + 3) % config.max_positions);
  }
  return random_batch(config, std::move(lengths));
}

inline ModelLoss loss(const Transformer& model, const TokenBatch& batch) {
  return model.loss(batch);
}

/// Gradients of the whole batch, divided by its weight.
inline std::vector<at::Tensor> gradients(
    const Transformer& model,
    const RaggedBatch& batch,
    int64_t micro_batch) {
  Window window(model.parameters());
  for (Range part : split_range(batch.size(), micro_batch)) {
    window.add(loss(model, batch.part(part)));
  }
  window.normalize();
  std::vector<at::Tensor> copies;
  for (const at::Tensor& gradient : window.gradients()) {
    copies.push_back(gradient.clone());
  }
  return copies;
}

} // namespace accrue::testing
