// SPDX-License-Identifier: Apache-2.0

/// Computes y [rows, width] = f(x), or f(gate) · x for x [rows, 2 · width] with
/// the gate first. Blocks share columns in x and rows in y.
KERNEL(activate)
(const Element* x,
 ll x_stride,
 Element* y,
 ll y_stride,
 ll rows,
 int width,
 int kind,
 int gated) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  for (ll row = blockIdx.y; row < rows; row += gridDim.y) {
    const Element* from = x + row * x_stride;
    float value = evaluate(kind, widen(from[c])).value;
    if (gated) {
      value *= widen(from[width + c]);
    }
    y[row * y_stride + c] = round_to<Element>(value);
  }
}

/// Computes the result again into the first `width` columns of x. In: the last
/// `width` columns of dx have the result's gradient; out: dx has that of x.
KERNEL(activate_backward)
(Element* x,
 ll x_stride,
 Element* dx,
 ll dx_stride,
 ll rows,
 int width,
 int kind,
 int gated) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  for (ll row = blockIdx.y; row < rows; row += gridDim.y) {
    Element* values = x + row * x_stride + c;
    Element* gradients = dx + row * dx_stride + c;
    Evaluated p = evaluate(kind, widen(values[0]));
    if (gated) {
      float up = widen(values[width]);
      float dy = widen(gradients[width]);
      gradients[0] = round_to<Element>(dy * up * p.slope);
      gradients[width] = round_to<Element>(dy * p.value);
      values[0] = round_to<Element>(p.value * up);
    } else {
      gradients[0] = round_to<Element>(widen(gradients[0]) * p.slope);
      values[0] = round_to<Element>(p.value);
    }
  }
}
