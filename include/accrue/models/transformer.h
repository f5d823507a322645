#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
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
  at::Tensor targets; // [T] int64, the token after each
  at::Tensor weights; // [T] fp64, 0 = not trained on
  at::Tensor positions; // [T] int64, from 0 in every sample
  std::vector<int64_t> offsets; // [S + 1]
  std::vector<uint64_t> sample_ids; // [S]
  double target_weight = 0; // sum of weights
};

/// How the matrix work is done. Parameters are fp64 for kFp64, else fp32.
enum class Dtype { kFp32, kFp64, kBf16 };

/// A GPT-2 or Llama language model. Parameters have the names, shapes and
/// layout of the family's Hugging Face checkpoints. Its handles are shared:
/// a copy is the same model.
class Transformer {
 public:
  /// Parameters drawn by the family's rule. Each depends only on the seed and
  /// its name, so it is the same on every machine and thread count.
  Transformer(const ModelConfig& config, Dtype dtype, uint64_t seed);

  /// Logits [T, V] of every token.
  at::Tensor logits(const TokenBatch& batch) const;

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

  /// Name and tensor, in the order of the forward pass.
  const std::vector<std::pair<std::string, at::Tensor>>& named_parameters()
      const {
    return parameters_;
  }
  /// What a Window and an Optimizer are made from: the parameters and, if the
  /// head is tied, once more the embedding as a tensor of its own on the same
  /// memory. Its gradient is kept apart until commit, because the two are
  /// made at different times.
  std::vector<at::Tensor> parameters() const;
  int64_t num_parameters() const;

  /// Parameters under the names of the family's checkpoints. They alias the
  /// model's: load_safetensors(path, model.state()) loads one.
  TensorMap state() const;

  const ModelConfig& config() const;

 private:
  class Builder;

  void build_gpt2(Builder& builder);
  void build_llama(Builder& builder);
  at::Tensor hidden(const class Pass& pass, bool checkpointing) const;

  std::vector<std::pair<std::string, at::Tensor>> parameters_;
  std::shared_ptr<struct Weights> weights_;
};

} // namespace accrue
