#include "models/graph.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <type_traits>
#include <utility>

#include "accrue/core/error.h"

namespace accrue {
namespace {

struct Recorded final : torch::autograd::Node {
  using torch::autograd::Node::Node;

  torch::autograd::variable_list apply(
      torch::autograd::variable_list&& gradients) override {
    if (!backward) {
      throw Error(
          "[model] backward ran twice through the same loss. Its parts are "
          "freed by the first; compute the loss again.");
    }
    at::NoGradGuard no_grad;
    // Once: it may use up what it holds, even where the graph is retained.
    Backward run = std::exchange(backward, nullptr);
    torch::autograd::variable_list inputs = {run(gradients[0])};
    inputs.resize(num_outputs()); // none where the graph ends
    return inputs;
  }
  void release_variables() override {
    backward = nullptr;
  }

  Backward backward;
};

/// A std::shared_ptr up to LibTorch 2.12, an intrusive pointer since.
using NodePointer =
    std::remove_cvref_t<decltype(torch::autograd::impl::grad_accumulator(
        at::Tensor()))>;

template <class Pointer>
Pointer adopt(torch::autograd::Node* node) {
  if constexpr (requires { Pointer::unsafe_steal_from_new(node); }) {
    return Pointer::unsafe_steal_from_new(node);
  } else {
    return Pointer(node);
  }
}

} // namespace

at::Tensor record(
    at::Tensor output,
    const at::Tensor& input,
    Backward backward) {
  if (at::GradMode::is_enabled()) {
    auto* node = new Recorded(
        input.defined() ? torch::autograd::collect_next_edges(input)
                        : torch::autograd::edge_list{});
    node->backward = std::move(backward);
    torch::autograd::set_history(output, adopt<NodePointer>(node));
  }
  return output;
}

} // namespace accrue
