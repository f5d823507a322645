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

#include "accrue/io/safetensors.h"
#include "accrue/models/config.h"
#include "accrue/tensor/types.h"

namespace accrue {

/// The samples of one micro-batch as one stream of T tokens, not padded.
struct TokenBatch {
  at::Tensor tokens; // [T] int64
  at::Tensor targets; // [T] int64, the token after each; any where weight is 0
  at::Tensor weights; // [T] fp64, 0 = not trained on
  at::Tensor positions; // [T] int64, from 0 in every sample
  std::vector<int64_t> offsets; // [S + 1]
  std::vector<uint64_t> sample_ids; // [S]
  double target_weight = 0; // sum of weights
};

/// How the matrix work is done. Parameters are fp64 for kFp64, else fp32.
enum class Dtype { kFp32, kFp64, kBf16 };

/// Low-rank adapters (arXiv 2106.09685) beside frozen weights.
struct LoraOptions {
  int64_t rank = 8;
  /// What they add is scaled by alpha / rank.
  double alpha = 16;
  /// Last parts of the names of linear layers ("q_proj", "c_attn"), or
  /// "all-linear": those of every block.
  std::vector<std::string> targets{"all-linear"};
  /// Tokens, each once, whose rows of the embedding are trained, too, in place
  /// of the frozen ones (PEFT's trainable_token_indices).
  std::vector<int64_t> tokens;
  /// And their rows of a head that is not tied to the embedding.
  bool tokens_in_head = true;
};

struct ModelOptions {
  Dtype dtype = Dtype::kFp32;
  /// What fresh parameters are drawn from.
  uint64_t seed = 0;
  /// Leave the weights as memory has them: they are about to be loaded.
  bool uninitialized = false;
  /// Train adapters only. The weights are frozen then.
  std::optional<LoraOptions> lora;
  /// Keep frozen matrices in bf16, as a checkpoint may have them.
  bool bf16_base = false;
};

/// From the cross-entropy [T] of every token, fp64, to a loss; stores the
/// loss's derivative by each of them in `derivative` [T].
using TokenObjective = std::function<
    double(const at::Tensor& losses, const at::Tensor& derivative)>;

/// A GPT-2 or Llama language model. Parameters have the names, shapes and
/// layout of the family's Hugging Face checkpoints. Its handles are shared:
/// a copy is the same model, for one thread at a time: bf16 copies of weights
/// are made by whoever needs them first.
class Transformer {
 public:
  /// Parameters drawn by the family's rule. Each depends only on the seed and
  /// its name, so it is the same on every machine and thread count.
  Transformer(const ModelConfig& config, Dtype dtype, uint64_t seed)
      : Transformer(config, {.dtype = dtype, .seed = seed}) {}

  /// Throws ConfigError for a target of LoRA that no layer has.
  Transformer(const ModelConfig& config, const ModelOptions& options);

  /// Logits [T, V] of every token.
  at::Tensor logits(const TokenBatch& batch) const;

  /// Takes more tokens of one sequence in and returns the logits [V] after the
  /// last of them. What went before is in the cache, so that a token costs one
  /// pass over the weights whatever the length. Throws DataError for more
  /// tokens than the cache or the model has positions.
  at::Tensor next_logits(
      std::span<const int64_t> tokens,
      struct KeyValueCache& cache) const;
  /// An empty cache for a sequence of up to `max_tokens`.
  std::shared_ptr<struct KeyValueCache> make_cache(int64_t max_tokens) const;

  /// Σ weight · cross-entropy, an fp64 scalar with a graph. Call backward()
  /// on it once, as it is: gradients of parameters are folded straight into
  /// `.grad`, sample by sample, so that their bits depend neither on how a
  /// batch is split nor on the number of threads. The head's are folded while
  /// the loss is computed.
  /// `checkpointing` keeps only the input of every block and makes the rest
  /// again in backward (arXiv 1604.06174): less memory, more time, the same
  /// bits.
  /// Difference from PyTorch: torch::autograd::grad() sees none of them.
  at::Tensor loss_sum(
      const TokenBatch& batch,
      const tensor::DropoutKey& dropout = {},
      bool checkpointing = false) const;

  /// `objective` of the tokens' cross-entropies, an fp64 scalar with a graph,
  /// as loss_sum(). batch.weights say which tokens it may look at (not 0); the
  /// head is run twice.
  at::Tensor objective_sum(
      const TokenBatch& batch,
      const TokenObjective& objective,
      const tensor::DropoutKey& dropout = {},
      bool checkpointing = false) const;

  /// Cross-entropy [T] of every token whose weight is not 0, fp64, without a
  /// graph.
  at::Tensor token_losses(const TokenBatch& batch) const;

  /// Name and tensor, in the order of the forward pass, adapters included.
  const std::vector<std::pair<std::string, at::Tensor>>& named_parameters()
      const {
    return parameters_;
  }
  /// What a Window and an Optimizer are made from: those that are trained and,
  /// if a tied head is, once more the embedding as a tensor of its own on the
  /// same memory. Its gradient is kept apart until commit, because the two are
  /// made at different times.
  std::vector<at::Tensor> parameters() const;
  int64_t num_parameters() const;
  /// Of them, those that are trained: all, or the adapters.
  int64_t num_trained() const;

  /// Weights under the names of the family's checkpoints, without adapters.
  /// They alias the model's: load_safetensors(path, model.state()) loads one.
  TensorMap state() const;

  /// Adapters as "<layer>.lora_A.weight" [r, in] and "<layer>.lora_B.weight"
  /// [out, r], trained rows as
  /// "<table>.token_adapter.trainable_tokens_delta" [n, C], as PEFT names them;
  /// empty without LoRA. They alias the model's.
  TensorMap adapters() const;

  /// Makes the model that of the frozen weights: A and B become 0, trained
  /// rows those of their tables when load_base_rows() was called.
  void clear_adapters();
  /// After the frozen weights were loaded: trained rows begin as they are.
  void load_base_rows();

  /// Adds what the adapters do to the weights and leaves them at 0.
  void merge_adapters();

  const std::optional<LoraOptions>& lora() const;

  const ModelConfig& config() const;

 private:
  class Builder;

  void build_gpt2(Builder& builder);
  void build_llama(Builder& builder);
  void build_rows(Builder& builder);
  at::Tensor hidden(const class Pass& pass, bool checkpointing) const;

  std::vector<std::pair<std::string, at::Tensor>> parameters_;
  std::shared_ptr<struct Weights> weights_;
};

} // namespace accrue
