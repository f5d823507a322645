#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace accrue {

/// From the gradient of an output to that of the input, in the same memory if
/// it likes: it runs once, and nobody else holds that gradient.
using Backward = std::function<at::Tensor(const at::Tensor&)>;

/// Gives `output` a place in autograd's graph: its gradient goes to `backward`,
/// whose result is the gradient of `input` (undefined: the graph ends here).
/// What `backward` holds is freed once it has run. Without grad mode it is
/// dropped at once.
at::Tensor record(
    at::Tensor output,
    const at::Tensor& input,
    Backward backward);

} // namespace accrue
