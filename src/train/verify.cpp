#include "train/verify.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace accrue {
namespace {

struct WindowResult {
  double loss = 0;
  std::vector<at::Tensor> gradients;
};

WindowResult run_window(
    Task& task,
    const Manner& manner,
    const ProgressCallback& tick) {
  Window window(task.model().parameters());
  std::vector<Range> parts = task.cut(task.window_range(0), manner);
  for (size_t i = 0; i < parts.size(); ++i) {
    window.add(task.loss(parts[i], 0, manner.checkpointing).loss);
    tick(
        fmt::format("window in {} micro-batches", parts.size()),
        i + 1,
        parts.size());
  }
  WindowResult result{.loss = window.normalize().loss};
  for (const at::Tensor& gradient : window.gradients()) {
    result.gradients.push_back(gradient.clone());
  }
  return result;
}

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  at::NoGradGuard no_grad;
  at::Tensor wide = want.to(at::kDouble);
  double norm = at::linalg_vector_norm(wide).item<double>();
  double difference =
      at::linalg_vector_norm(got.to(at::kDouble) - wide).item<double>();
  return norm > 0 ? difference / norm : difference;
}

/// From "…h.3.…" or "…layers.3.…": 4. Embeddings 0, the rest L + 1.
int64_t layer_of(const std::string& name, int64_t num_layers) {
  for (const char* prefix : {"transformer.h.", "model.layers."}) {
    std::string_view view(prefix);
    if (name.starts_with(view)) {
      int64_t index = 0;
      std::from_chars(
          name.data() + view.size(), name.data() + name.size(), index);
      return index + 1;
    }
  }
  bool embedding = name.find(".wte.") != std::string::npos ||
      name.find(".wpe.") != std::string::npos ||
      name.find("embed_tokens") != std::string::npos;
  return embedding ? 0 : num_layers + 1;
}

} // namespace

double gradient_gate(Dtype dtype, int64_t num_layers, int64_t layer) {
  if (dtype == Dtype::kFp64) {
    return 1e-10;
  }
  double epsilon = dtype == Dtype::kBf16
      ? 0x1p-7
      : static_cast<double>(std::numeric_limits<float>::epsilon());
  auto depth = static_cast<double>(num_layers + 1 - layer);
  return 4 * std::pow(1.03, depth) * epsilon;
}

bool Verification::passed() const {
  return std::all_of(tensors.begin(), tensors.end(), [](const auto& tensor) {
    return tensor.passed();
  });
}

Verification verify(
    Task& task,
    const memory::Way& way,
    const memory::Way& reference,
    const ProgressCallback& tick) {
  WindowResult want = run_window(
      task,
      {.max_samples = reference.micro_batch,
       .checkpointing = reference.checkpointing},
      tick);
  WindowResult got = run_window(task, task.manner(way), tick);
  const Transformer& model = task.model();
  int64_t num_layers = model.config().num_layers;
  Verification result{
      .reference = reference.micro_batch >= task.global_batch() ? "unsplit"
                                                                : "per sample",
      .reference_micro_batch = reference.micro_batch,
      .loss = got.loss,
      .reference_loss = want.loss};
  std::vector<std::string> names;
  for (const auto& [name, parameter] : model.named_parameters()) {
    if (parameter.requires_grad()) {
      names.push_back(name);
    }
  }
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    const std::string& name = names[i];
    result.tensors.push_back(
        {.name = name,
         .relative_error = relative_error(got.gradients[i], want.gradients[i]),
         .gate = gradient_gate(
             task.options().dtype, num_layers, layer_of(name, num_layers)),
         .bits_equal = at::equal(got.gradients[i], want.gradients[i])});
  }
  return result;
}

} // namespace accrue
