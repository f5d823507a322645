// SPDX-License-Identifier: Apache-2.0
#include "accrue/models/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "accrue/core/error.h"
#include "models/pass.h"
#include "models/row_probe.h"

namespace accrue {
namespace {

/// Returns the adapters of the named tensors, or all others.
TensorMap tensors_of(
    const std::vector<std::pair<std::string, at::Tensor>>& parameters,
    bool adapters) {
  TensorMap tensors;
  for (const auto& [name, tensor] : parameters) {
    bool is_adapter = name.ends_with(kAdapterA) || name.ends_with(kAdapterB) ||
        name.ends_with(kTokenRows);
    if (is_adapter == adapters) {
      tensors.emplace(name, tensor);
    }
  }
  return tensors;
}

/// Throws DataError for an index that the model does not have: on a GPU it
/// would end the process.
void check_indices(const TokenBatch& batch, const ModelConfig& config) {
  auto outside = [](const at::Tensor& x, int64_t limit) {
    return x.lt(0).logical_or(x.ge(limit));
  };
  auto first = [](const at::Tensor& x, const at::Tensor& mask) {
    return x.masked_select(mask)[0].item<int64_t>();
  };
  if (at::Tensor bad = outside(batch.tokens, config.vocab_size);
      bad.any().item<bool>()) {
    throw DataError(fmt::format(
        "[model] token {} is not in the vocabulary of {}.",
        first(batch.tokens, bad),
        config.vocab_size));
  }
  if (at::Tensor bad = outside(batch.positions, config.max_positions);
      bad.any().item<bool>()) {
    tensor::fail_position(first(batch.positions, bad), config.max_positions);
  }
  if (!batch.weights.defined()) {
    return;
  }
  at::Tensor bad = outside(batch.targets, config.vocab_size)
                       .logical_and(batch.weights.ne(0));
  if (bad.any().item<bool>()) {
    tensor::fail_target(first(batch.targets, bad), config.vocab_size);
  }
}

} // namespace

const ModelConfig& Transformer::config() const {
  return weights_->config;
}

const std::optional<LoraOptions>& Transformer::lora() const {
  return weights_->lora;
}

TokenBatch Transformer::place(const TokenBatch& batch) const {
  const at::Device device = weights_->token_embedding.device();
  // The kernels of the CPU look for themselves.
  if (batch.tokens.is_cpu() && !cut_of(*weights_).by_sample) {
    check_indices(batch, config());
  }
  if (batch.tokens.device() == device) {
    return batch;
  }
  std::vector<at::Tensor> rows{batch.tokens, batch.positions};
  if (batch.weights.defined()) {
    rows.push_back(batch.targets);
    rows.push_back(batch.weights.view(at::kLong)); // its bits
  }
  // One copy, and the host does not wait for it.
  at::Tensor block = at::empty(
      {static_cast<int64_t>(rows.size()), batch.tokens.numel()},
      batch.tokens.options().pinned_memory(device.is_cuda()));
  at::stack_out(block, rows);
  block = block.to(device, /*non_blocking=*/true);
  TokenBatch placed = batch;
  placed.tokens = block[0];
  placed.positions = block[1];
  if (batch.weights.defined()) {
    placed.targets = block[2];
    placed.weights = block[3].view(at::kDouble);
    placed.host_weights = batch.weights;
  }
  return placed;
}

const char* Transformer::computed_at_once() const {
  const tensor::Cut& cut = cut_of(*weights_);
  return cut.by_sample       ? "samples"
      : cut.chunk_tokens > 0 ? "micro-batches"
                             : "grains";
}

at::Tensor Transformer::logits(const TokenBatch& batch) const {
  at::NoGradGuard no_grad;
  Pass pass(weights_, place(batch), {});
  return pass.logits(pass.hidden(/*recompute=*/false, nullptr));
}

std::shared_ptr<KeyValueCache> Transformer::make_cache(
    int64_t max_tokens) const {
  const ModelConfig& c = config();
  auto cache = std::make_shared<KeyValueCache>();
  cache->max_tokens = std::min(max_tokens, c.max_positions);
  at::TensorOptions options = weights_->token_embedding.options().dtype(
      tensor::scalar_type(weights_->compute));
  for (int64_t i = 0; i < c.num_layers; ++i) {
    std::array<int64_t, 3> shape{c.num_kv_heads, cache->max_tokens, c.head_dim};
    cache->keys.push_back(at::empty(shape, options));
    cache->values.push_back(at::empty(shape, options));
  }
  return cache;
}

at::Tensor Transformer::next_logits(
    std::span<const int64_t> tokens,
    KeyValueCache& cache) const {
  at::NoGradGuard no_grad;
  auto count = static_cast<int64_t>(tokens.size());
  if (cache.size + count > cache.max_tokens || count == 0) {
    throw DataError(fmt::format(
        "[model] {} tokens after {} don't fit the {} positions there are.",
        count,
        cache.size,
        cache.max_tokens));
  }
  if (cache.size > 0 && count > 1) { // a later turn
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      next_logits(tokens.subspan(i, 1), cache);
    }
    return next_logits(tokens.last(1), cache);
  }
  TokenBatch batch;
  batch.tokens = at::tensor(at::IntArrayRef(tokens.data(), tokens.size()));
  batch.positions =
      at::arange(cache.size, cache.size + count, batch.tokens.options());
  batch.offsets = {0, count};
  batch.sample_ids = {0};
  Pass pass(weights_, place(batch), {}, nullptr, &cache);
  at::Tensor x = pass.hidden(/*recompute=*/false, nullptr);
  cache.size += count;
  return pass.logits(x, count - 1)[0];
}

ModelLoss Transformer::loss(
    const TokenBatch& batch,
    const PassOptions& options,
    const TokenObjective& objective) const {
  auto accumulate =
      [model = *this, batch, options, objective](Accumulators& sums) {
        at::NoGradGuard no_grad;
        Pass pass(model.weights_, model.place(batch), options.dropout, &sums);
        Tape tape;
        at::Tensor x = pass.hidden(options.recompute, &tape);
        at::Tensor dx = at::zeros_like(x);
        at::Tensor sum = pass.loss(x, objective, dx);
        x.reset();
        for (; !tape.empty(); tape.pop_back()) {
          dx = tape.back()(dx);
        }
        return sum;
      };
  return {std::move(accumulate), batch.target_weight};
}

at::Tensor Transformer::loss_sum(
    const TokenBatch& batch,
    const tensor::DropoutKey& dropout,
    const TokenObjective& objective) const {
  at::NoGradGuard no_grad;
  Pass pass(weights_, place(batch), dropout);
  return pass.loss(
      pass.hidden(/*recompute=*/false, nullptr), objective, /*dx=*/{});
}

at::Tensor Transformer::token_losses(const TokenBatch& batch) const {
  at::NoGradGuard no_grad;
  Pass pass(weights_, place(batch), {});
  return pass.token_losses(pass.hidden(/*recompute=*/false, nullptr));
}

std::vector<at::Tensor> Transformer::parameters() const {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : parameters_) {
    if (tensor.requires_grad()) {
      tensors.push_back(tensor);
    }
  }
  return tensors;
}

int64_t Transformer::num_parameters() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : parameters_) {
    count += tensor.numel();
  }
  return count;
}

int64_t Transformer::num_trained() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : parameters_) {
    count += tensor.requires_grad() ? tensor.numel() : 0;
  }
  return count;
}

TensorMap Transformer::state() const {
  weights_->place_rows();
  return tensors_of(parameters_, /*adapters=*/false);
}

TensorMap Transformer::adapters() const {
  return tensors_of(parameters_, /*adapters=*/true);
}

void Transformer::load_base_rows() {
  at::NoGradGuard no_grad;
  weights_->base_rows.clear();
  auto take = [&](const tensor::TrainedRows* rows, const at::Tensor& table) {
    if (rows != nullptr) {
      rows->values.detach().copy_(table.index_select(0, rows->ids));
      weights_->base_rows.emplace_back(
          rows->values.detach(), rows->values.detach().clone());
    }
  };
  take(weights_->embedding_rows.get(), weights_->token_embedding);
  take(weights_->head.rows.get(), weights_->head.weight);
}

void Transformer::clear_adapters() {
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : adapters()) {
    tensor.detach().zero_();
  }
  for (const auto& [rows, base] : weights_->base_rows) {
    rows.copy_(base);
  }
}

void Transformer::merge_adapters() {
  at::NoGradGuard no_grad;
  weights_->place_rows();
  for (Block& block : weights_->blocks) {
    for (const tensor::Linear* linear : block.linears()) {
      if (const tensor::Adapter* adapter = linear->adapter.get()) {
        at::Tensor update = at::empty(
            {adapter->b.size(0), adapter->a.size(1)}, adapter->a.options());
        tensor::linear(
            adapter->b,
            {adapter->a, {}, tensor::WeightLayout::kInOut},
            tensor::type_of(update),
            update);
        update.mul_(adapter->scale);
        bool in_first = linear->layout == tensor::WeightLayout::kInOut;
        at::Tensor weight = linear->weight.detach();
        // Added in the type of the sums, then rounded once.
        update.add_(in_first ? weight.t() : weight);
        weight.copy_(in_first ? update.t() : update);
        adapter->b.detach().zero_();
      }
    }
  }
}

} // namespace accrue
