// SPDX-License-Identifier: Apache-2.0

// Every kernel of ours beside LibTorch's operator, on shapes of gpt2-10m and
// gpt2-124m, in turns within one run. Prints medians and their ratio; bench/
// README.md says how to read it.

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include "compare.h"
#include "tensor/ops.h"

namespace {

using namespace accrue::tensor;

const char* name_of(Type compute) {
  return compute == Type::kBf16 ? "bf16" : "fp32";
}

std::vector<Chunk> chunks_of(int64_t samples, int64_t length, Type compute) {
  return sample_chunks(
      {offsets_of(samples, length)}, cut_by_sample(compute, samples * length));
}

void products(
    Type compute,
    int64_t samples,
    int64_t length,
    int64_t in,
    int64_t out) {
  int64_t tokens = samples * length;
  auto dtype = scalar_type(compute);
  std::string shape = fmt::format(
      "{} {} of {} x {} -> {}", name_of(compute), samples, length, in, out);
  at::Tensor x = torch::randn({tokens, in});
  at::Tensor dy = torch::randn({tokens, out});
  at::Tensor low_x = x.to(dtype);
  at::Tensor low_dy = dy.to(dtype);
  Linear layer = make_linear(torch::randn({in, out}), {}, WeightLayout::kInOut);
  const LinearGradients sums{torch::zeros({in, out})};
  at::Tensor weight = layer.weight.detach().to(dtype);
  at::Tensor y = at::empty({tokens, out}, dtype);
  at::Tensor dx = at::empty({tokens, in}, dtype);
  Chunk chunk = chunks_of(samples, length, compute)[0];
  compare(
      "linear " + shape,
      [&] { linear(low_x, layer, compute, y); },
      [&] { at::mm_out(y, low_x, weight); });
  compare(
      "input gradient " + shape,
      [&] { linear_input_gradient(low_dy, layer, compute, dx); },
      [&] { at::mm_out(dx, low_dy, weight.t()); });
  at::Tensor gradient = torch::zeros({in, out});
  compare(
      "weight gradient " + shape,
      [&] {
        linear_weight_gradient(chunk, low_x, low_dy, layer, compute, sums);
      },
      [&] {
        if (compute == Type::kF32) {
          gradient.addmm_(low_x.t(), low_dy);
        } else { // no product of bf16 adds to fp32
          gradient.add_(at::mm(low_x.t(), low_dy));
        }
      });
  Chunk whole = chunk;
  whole.segments.clear();
  for (int64_t end = 0; end < tokens;) {
    end = std::min(end + segment_limit(compute), tokens);
    whole.segments.push_back(end);
  }
  if (whole.segments == chunk.segments) {
    return; // the same call
  }
  compare(
      fmt::format("  folded per sample of {} against per micro-batch", length),
      [&] {
        linear_weight_gradient(chunk, low_x, low_dy, layer, compute, sums);
      },
      [&] {
        linear_weight_gradient(whole, low_x, low_dy, layer, compute, sums);
      });
}

/// Rows of a Llama's operations in place of LayerNorm, GELU and learned
/// positions, and of dropout. LibTorch's gradients come from autograd.
void llama_rows(int64_t samples, int64_t length, int64_t width) {
  int64_t tokens = samples * length;
  Chunk chunk = chunks_of(samples, length, Type::kF32)[0];
  at::Tensor x = torch::randn({tokens, width}).requires_grad_();
  at::Tensor dy = torch::randn({tokens, width});
  Norm layer{torch::ones({width}), {}, 1e-5};
  const NormGradients sums{torch::zeros({width})};
  at::Tensor weight = torch::ones({width}).requires_grad_();
  at::Tensor plain = x.detach();
  NormStatistics statistics = make_statistics(layer, plain);
  at::Tensor dx = torch::zeros_like(plain);
  compare(
      fmt::format("RMSNorm {} x {}, forward and backward", tokens, width),
      [&] {
        norm(chunk, plain, layer, statistics, type_of(x));
        norm_backward(chunk, plain, dy, layer, statistics, dx, sums);
      },
      [&] { at::rms_norm(x, {width}, weight, 1e-5).backward(dy); });

  at::Tensor inner = torch::randn({tokens, 8 * width}).requires_grad_();
  at::Tensor dinner = torch::randn({tokens, 8 * width});
  at::Tensor dvalues = value_columns(dinner, /*gated=*/true).clone();
  at::Tensor plain_inner = inner.detach();
  at::Tensor used_inner = plain_inner.clone(); // our backward overwrites it
  at::Tensor dused = dinner.clone();
  compare(
      fmt::format(
          "SwiGLU {} x {}, both ways (ours: and a copy)", tokens, 4 * width),
      [&] {
        used_inner.copy_(plain_inner);
        dused.copy_(dinner);
        activate(plain_inner, Activation::kSilu, true);
        activate_backward(used_inner, dused, Activation::kSilu, true);
      },
      [&] {
        auto halves = inner.chunk(2, 1);
        (at::silu(halves[0]) * halves[1]).backward(dvalues);
      });

  Heads heads{.queries = width / 64, .keys = width / 64, .dim = 64};
  at::Tensor qkv = torch::randn({tokens, heads.qkv_width()});
  at::Tensor positions = torch::arange(length).repeat({samples});
  RotaryTable table =
      rotary_table(length, torch::rand({heads.dim / 2}), at::kFloat);
  at::Tensor cos = table.cos.index_select(0, positions).unsqueeze(1);
  at::Tensor sin = table.sin.index_select(0, positions).unsqueeze(1);
  compare(
      fmt::format("rotation {} x {} heads", tokens, 2 * heads.queries),
      [&] { rotate(qkv, heads, positions, table, /*inverse=*/false); },
      [&] {
        at::Tensor both = columns(qkv, 0, heads.rotated_width())
                              .view({tokens, 2 * heads.queries, heads.dim});
        auto half = both.chunk(2, 2);
        at::cat(
            {half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin}, 2);
      });

  std::vector<int64_t> offsets = offsets_of(samples, length);
  std::vector<uint64_t> ids = ids_of(samples);
  Dropout dropout({.probability = 0.1, .seed = 1, .step = 1}, offsets, ids);
  at::Tensor out = torch::empty_like(plain);
  compare(
      fmt::format("dropout and residual {} x {}", tokens, width),
      [&] { dropout.apply(chunk, 0, plain, dy, out); },
      [&] { at::add_out(out, at::dropout(plain, 0.1, true), dy); });
}

void rows(int64_t samples, int64_t length, int64_t width) {
  int64_t tokens = samples * length;
  Chunk chunk = chunks_of(samples, length, Type::kF32)[0];
  at::Tensor x = torch::randn({tokens, width});
  at::Tensor dy = torch::randn({tokens, width});
  Norm layer{torch::ones({width}), torch::zeros({width}), 1e-5};
  const NormGradients sums{torch::zeros({width}), torch::zeros({width})};
  NormStatistics statistics = make_statistics(layer, x);
  at::Tensor dx = torch::zeros_like(x);
  auto [y, mean, rstd] = at::native_layer_norm(
      x, {width}, layer.weight.detach(), layer.bias.detach(), 1e-5);
  compare(
      fmt::format("LayerNorm {} x {}", tokens, width),
      [&] { norm(chunk, x, layer, statistics, type_of(x)); },
      [&] {
        at::native_layer_norm(
            x, {width}, layer.weight.detach(), layer.bias.detach(), 1e-5);
      });
  compare(
      "  its backward",
      [&] { norm_backward(chunk, x, dy, layer, statistics, dx, sums); },
      [&] {
        at::native_layer_norm_backward(
            dy,
            x,
            {width},
            mean,
            rstd,
            layer.weight.detach(),
            layer.bias.detach(),
            {true, true, true});
      });
  for (Type compute : {Type::kF32, Type::kBf16}) {
    at::Tensor inner =
        torch::randn({tokens, 4 * width}).to(scalar_type(compute));
    at::Tensor dinner = torch::randn({tokens, 4 * width});
    at::Tensor low = dinner.to(scalar_type(compute));
    at::Tensor used = inner.clone(); // our backward overwrites it
    compare(
        fmt::format("GELU {} {} x {}", name_of(compute), tokens, 4 * width),
        [&] { activate(inner, Activation::kGeluTanh, false); },
        [&] { at::gelu(inner, "tanh"); });
    compare(
        "  its backward (ours: and the values once more)",
        [&] { activate_backward(used, dinner, Activation::kGeluTanh, false); },
        [&] { at::gelu_backward(low, inner, "tanh"); });
  }
}

void attentions(int64_t samples, int64_t length, const Heads& heads) {
  int64_t tokens = samples * length;
  Chunk chunk = chunks_of(samples, length, Type::kF32)[0];
  std::vector<int64_t> offsets = offsets_of(samples, length);
  at::Tensor qkv = torch::randn({tokens, heads.qkv_width()});
  at::Tensor out = torch::empty({tokens, heads.width()});
  at::Tensor sums = torch::empty({heads.queries, tokens});
  at::Tensor dout = torch::randn({tokens, heads.width()});
  auto per_head = [&](const at::Tensor& x) {
    return x.contiguous()
        .view({samples, length, -1, heads.dim})
        .transpose(1, 2);
  };
  // Keys and values that heads share are repeated, as LibTorch does it.
  int64_t group = heads.group();
  auto repeated = [&](const at::Tensor& x) {
    return group > 1 ? x.repeat_interleave(group, 1) : x;
  };
  at::Tensor q = per_head(columns(qkv, 0, heads.width()));
  at::Tensor k = per_head(columns(qkv, heads.width(), heads.keys * heads.dim));
  at::Tensor v =
      per_head(columns(qkv, heads.rotated_width(), heads.keys * heads.dim));
  at::Tensor dmixed = per_head(dout);
  auto run = [&] {
    return at::_scaled_dot_product_flash_attention_for_cpu(
        q, repeated(k), repeated(v), 0, true);
  };
  auto [mixed, logsumexp] = run();
  at::Tensor all_k = repeated(k);
  at::Tensor all_v = repeated(v);
  compare(
      fmt::format(
          "attention {} x {} tokens, {} heads, {} of keys",
          samples,
          length,
          heads.queries,
          heads.keys),
      [&] { attention(offsets, qkv, heads, out, sums); },
      [&] { run(); });
  compare(
      "  its backward",
      [&] { attention_backward(chunk, offsets, qkv, heads, out, sums, dout); },
      [&] {
        at::_scaled_dot_product_flash_attention_for_cpu_backward(
            dmixed, q, all_k, all_v, mixed, logsumexp, 0, true);
      });
}

void head(
    Type compute,
    int64_t samples,
    int64_t length,
    int64_t width,
    int64_t vocab) {
  int64_t tokens = samples * length;
  Chunk chunk = chunks_of(samples, length, compute)[0];
  const LinearGradients sums{torch::zeros({vocab, width})};
  Linear head{
      torch::randn({vocab, width}).mul_(0.02), {}, WeightLayout::kOutIn};
  at::Tensor x = torch::randn({tokens, width});
  at::Tensor targets = torch::randint(0, vocab, {tokens});
  at::Tensor weights = torch::ones({tokens}, at::kDouble);
  at::Tensor dx = torch::empty_like(x);
  at::ScalarType type = scalar_type(compute);
  compare(
      fmt::format(
          "head, loss, gradients {} {} x {} -> {}",
          name_of(compute),
          tokens,
          width,
          vocab),
      [&] {
        cross_entropy(chunk, x, head, compute, targets, weights, dx, sums);
      },
      [&] {
        at::Tensor leaf = x.detach().requires_grad_();
        at::Tensor logits = at::linear(leaf.to(type), head.weight.to(type));
        at::cross_entropy_loss(
            logits.to(at::kFloat), targets, {}, at::Reduction::Sum)
            .backward();
      });
}

void norms_and_updates() {
  at::Tensor gradient = torch::randn({16 << 20});
  compare(
      "norm of a gradient, 16 Mi",
      [&] { l2_norms({gradient}); },
      [&] { at::linalg_vector_norm(gradient).item<double>(); });
  at::Tensor parameter = torch::rand_like(gradient);
  at::Tensor average = torch::rand_like(gradient);
  at::Tensor square = torch::rand_like(gradient);
  std::vector<at::Tensor> state[] = {
      {parameter.clone()}, {gradient}, {average.clone()}, {square.clone()}};
  AdamWStep step{
      .lr = 1e-3,
      .beta1 = 0.9,
      .beta2 = 0.95,
      .eps = 1e-8,
      .weight_decay = 0.1,
      .correction1 = 0.1,
      .correction2 = 0.05};
  compare(
      "AdamW, 16 Mi",
      [&] { adamw(step, gradient, parameter, average, square); },
      [&] {
        at::_fused_adamw_(
            state[0],
            state[1],
            state[2],
            state[3],
            {},
            {torch::ones({})},
            step.lr,
            step.beta1,
            step.beta2,
            step.weight_decay,
            step.eps,
            false,
            false);
      });
}

} // namespace

int main() {
  torch::manual_seed(1);
  print_head("kernel");
  for (Type compute : {Type::kF32, Type::kBf16}) {
    products(compute, 4, 256, 384, 1536);
    products(compute, 16, 64, 384, 1536);
    products(compute, 2, 512, 768, 3072);
    head(compute, 2, 512, 768, 50257);
  }
  rows(4, 256, 384);
  rows(2, 512, 768);
  llama_rows(4, 256, 384);
  attentions(4, 256, {.queries = 6, .keys = 6, .dim = 64});
  attentions(2, 512, {.queries = 12, .keys = 12, .dim = 64});
  attentions(2, 512, {.queries = 12, .keys = 4, .dim = 64});
  norms_and_updates();
  return 0;
}
