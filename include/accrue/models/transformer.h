// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "accrue/core/export.h"
#include "accrue/io/safetensors.h"
#include "accrue/models/config.h"
#include "accrue/tensor/types.h"
#include "accrue/window/loss.h"

namespace accrue {

/// The samples of one micro-batch as one stream of T tokens, not padded.
struct TokenBatch {
  at::Tensor tokens; // [T] int64
  at::Tensor targets; // [T] int64, the next token; unused where the weight is 0
  at::Tensor weights; // [T] fp64, 0 = not trained on
  at::Tensor positions; // [T] int64, from 0 in every sample
  std::vector<int64_t> offsets; // [S + 1]
  std::vector<uint64_t> sample_ids; // [S]
  double target_weight = 0; // sum of weights
  /// Ends of grains, in samples: on a GPU, sums over tokens are made grain by
  /// grain, so the bits depend on them. Empty: every sample is one. On a CPU
  /// they are not looked at.
  std::vector<int64_t> grains;
  /// The weights in host memory, if `weights` is on a device.
  at::Tensor host_weights;
};

/// Type of the matrix products. Parameters are fp64 for kFp64, else fp32.
enum class Dtype { kFp32, kFp64, kBf16 };

/// Low-rank adapters (arXiv 2106.09685) beside frozen weights.
struct LoraOptions {
  int64_t rank = 8;
  /// The product B·A is scaled by alpha / rank.
  double alpha = 16;
  /// Last parts of the names of linear layers ("q_proj", "c_attn"), or
  /// "all-linear": those of every block.
  std::vector<std::string> targets{"all-linear"};
  /// Tokens, each once, whose rows of the embedding are trained in place of the
  /// frozen ones (PEFT's trainable_token_indices).
  std::vector<int64_t> tokens;
  /// Train the rows of these tokens in an untied head, too.
  bool tokens_in_head = true;
};

struct ModelOptions {
  Dtype dtype = Dtype::kFp32;
  /// Seed of fresh parameters.
  uint64_t seed = 0;
  /// Leave the weights uninitialized, because they are about to be loaded.
  bool uninitialized = false;
  /// Train adapters only. The weights are frozen then.
  std::optional<LoraOptions> lora;
  /// Keep frozen matrices in bf16, as a checkpoint may have them.
  bool bf16_base = false;
  /// Where the parameters live.
  at::Device device = at::kCPU;
};

/// Computes a loss from the cross-entropy [T] of every token, fp64, and stores
/// the derivative of the loss by each of them in `derivative` [T].
///
/// `losses` are not multiplied by batch.weights and are 0 where these are 0;
/// `derivative` begins as zeros and must stay 0 there. The returned value
/// should be a multiple of 2⁻²⁴, so that the sum over micro-batches is exact:
/// otherwise the bits of the reported loss depend on how a batch is split.
using TokenObjective = std::function<
    double(const at::Tensor& losses, const at::Tensor& derivative)>;

/// Options of one pass of a micro-batch through the model.
struct PassOptions {
  /// Key of the dropout masks; no dropout by default.
  tensor::DropoutKey dropout;
  /// Keep only the input of every block for backward and compute the rest again
  /// (activation checkpointing, arXiv 1604.06174): less memory, more time, the
  /// same bits.
  bool recompute = false;
};

/// A GPT-2 or Llama language model. Parameters have the names, shapes and
/// layout of the family's Hugging Face checkpoints. Copies share their weights.
/// Not thread-safe, copies included: packed bf16 weights are made when a pass
/// first needs them. Batches may be in host memory whatever the device of the
/// parameters; those that are on the device are not checked.
class ACCRUE_API Transformer {
 public:
  /// Parameters drawn by the family's rule. Each depends only on the seed and
  /// its name, so it is the same on every machine and thread count.
  Transformer(const ModelConfig& config, Dtype dtype, uint64_t seed)
      : Transformer(config, {.dtype = dtype, .seed = seed}) {}

  /// Throws ConfigError for a target of LoRA that no layer has.
  Transformer(const ModelConfig& config, const ModelOptions& options);

  /// Logits [T, V] of every token.
  [[nodiscard]] at::Tensor logits(const TokenBatch& batch) const;

  /// Appends tokens to the sequence in the cache and returns the logits [V]
  /// after the last one. A token costs one pass over the weights, whatever the
  /// length of the sequence. Throws DataError for more tokens than the cache or
  /// the model has positions.
  at::Tensor next_logits(
      std::span<const int64_t> tokens,
      struct KeyValueCache& cache) const;
  /// Returns an empty cache for a sequence of up to `max_tokens`.
  [[nodiscard]] std::shared_ptr<struct KeyValueCache> make_cache(
      int64_t max_tokens) const;

  /// Loss for Window::add(): Σ weight · cross-entropy, with batch.target_weight
  /// as its weight. With an `objective`, the loss is the objective of the
  /// tokens' cross-entropies; it may use the tokens whose batch.weights are not
  /// 0, the caller sets the loss's weight, and the head's products are computed
  /// twice.
  ///
  /// The model differentiates itself. Gradients are added to the window's sums
  /// sample by sample, so that their bits depend neither on how a batch is
  /// split nor on the number of threads.
  [[nodiscard]] ModelLoss loss(
      const TokenBatch& batch,
      const PassOptions& options = {},
      const TokenObjective& objective = nullptr) const;

  /// The value of loss() [] in fp64, without gradients.
  [[nodiscard]] at::Tensor loss_sum(
      const TokenBatch& batch,
      const tensor::DropoutKey& dropout = {},
      const TokenObjective& objective = nullptr) const;

  /// Cross-entropy [T] of every token whose weight is not 0, fp64.
  [[nodiscard]] at::Tensor token_losses(const TokenBatch& batch) const;

  /// Names and tensors in the order of the forward pass, adapters included.
  const std::vector<std::pair<std::string, at::Tensor>>& named_parameters()
      const {
    return parameters_;
  }
  /// Trained parameters, for a Window and an Optimizer.
  [[nodiscard]] std::vector<at::Tensor> parameters() const;
  [[nodiscard]] int64_t num_parameters() const;
  /// Number of trained parameters: all, or those of the adapters.
  [[nodiscard]] int64_t num_trained() const;

  /// Weights under the names of the family's checkpoints, without adapters.
  /// They alias the model's: load_safetensors(path, model.state()) loads one.
  [[nodiscard]] TensorMap state() const;

  /// Adapters as "<layer>.lora_A.weight" [r, in] and "<layer>.lora_B.weight"
  /// [out, r], trained rows as
  /// "<table>.token_adapter.trainable_tokens_delta" [n, C], as PEFT names them;
  /// empty without LoRA. They alias the model's.
  [[nodiscard]] TensorMap adapters() const;

  /// Turns the model into that of the frozen weights: A and B become 0, trained
  /// rows become those of their tables at the last load_base_rows().
  void clear_adapters();
  /// Sets trained rows to the rows of the tables. Call it after loading the
  /// frozen weights.
  void load_base_rows();

  /// Adds the adapters' products to the weights and sets the adapters to 0.
  void merge_adapters();

  const std::optional<LoraOptions>& lora() const;

  /// Returns how much is computed at once: "samples" on a CPU; on a GPU
  /// "micro-batches", or "grains" where rows of a product have other bits when it has more of them.
  [[nodiscard]] const char* computed_at_once() const;

  const ModelConfig& config() const;

 private:
  class Builder;

  TokenBatch place(const TokenBatch& batch) const;

  void build_gpt2(Builder& builder);
  void build_llama(Builder& builder);
  void build_rows(Builder& builder);

  std::vector<std::pair<std::string, at::Tensor>> parameters_;
  std::shared_ptr<struct ModelWeights> weights_;
};

} // namespace accrue
