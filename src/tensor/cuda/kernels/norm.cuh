// SPDX-License-Identifier: Apache-2.0

/// Computes a LayerNorm, or an RMSNorm if `bias` and `mean` are null, and its
/// statistics. A block computes a row: first the mean, then the squares of what
/// differs from it.
KERNEL(norm)
(const float* x,
 ll x_stride,
 const float* weight,
 const float* bias,
 Element* y,
 ll y_stride,
 float* mean,
 float* rstd,
 int width,
 float epsilon) {
  const ll row = blockIdx.x;
  x += row * x_stride;
  y += row * y_stride;
  float centre = 0;
  if (bias != nullptr) {
    float sum = 0;
    for (int i = thread(); i < width; i += threads()) {
      sum += x[i];
    }
    centre = block_sum(sum) / static_cast<float>(width);
  }
  float squares = 0;
  for (int i = thread(); i < width; i += threads()) {
    float d = x[i] - centre;
    squares = fmaf(d, d, squares);
  }
  const float r =
      1 / sqrtf(block_sum(squares) / static_cast<float>(width) + epsilon);
  if (thread() == 0) {
    rstd[row] = r;
    if (bias != nullptr) {
      mean[row] = centre;
    }
  }
  for (int i = thread(); i < width; i += threads()) {
    y[i] = round_to<Element>(
        bias != nullptr ? fmaf((x[i] - centre) * r, weight[i], bias[i])
                        : x[i] * r * weight[i]);
  }
}

/// Adds the gradient of x to dx; `mean` is null for an RMSNorm. A block
/// computes a row.
KERNEL(norm_input_gradient)
(const float* x,
 ll x_stride,
 const Element* dy,
 ll dy_stride,
 const float* weight,
 const float* mean,
 const float* rstd,
 float* dx,
 ll dx_stride,
 int width) {
  const ll row = blockIdx.x;
  x += row * x_stride;
  dy += row * dy_stride;
  dx += row * dx_stride;
  const float centre = mean != nullptr ? mean[row] : 0;
  const float r = rstd[row];
  // With g = dy · weight and x̂ the normalised x: mean(g · x̂) and mean(g), the
  // two terms that the backward of LayerNorm subtracts.
  float sum_gx = 0;
  float sum_g = 0;
  for (int i = thread(); i < width; i += threads()) {
    float d = widen(dy[i]);
    sum_gx = fmaf(d * weight[i], (x[i] - centre) * r, sum_gx);
    sum_g = fmaf(d, weight[i], sum_g);
  }
  const float mean_gx = block_sum(sum_gx) / static_cast<float>(width);
  const float mean_g =
      mean != nullptr ? block_sum(sum_g) / static_cast<float>(width) : 0;
  for (int i = thread(); i < width; i += threads()) {
    float normal = (x[i] - centre) * r;
    float g = fmaf(widen(dy[i]), weight[i], -mean_g);
    dx[i] = fmaf(r, fmaf(-normal, mean_gx, g), dx[i]);
  }
}

/// Computes sums [pieces, width] of the gradients of weight and bias, those of
/// bias unless null, over pieces (Piece) of rows. `mean` is null for an
/// RMSNorm. Blocks share columns in x; blockIdx.y is the piece.
KERNEL(norm_partials)
(const float* x,
 ll x_stride,
 const Element* dy,
 ll dy_stride,
 const float* mean,
 const float* rstd,
 const int* piece_ends,
 int piece_scale,
 float* weight_partials,
 float* bias_partials,
 int width) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  const Piece piece = piece_of(piece_ends, piece_scale);
  float weight_sum = 0;
  float bias_sum = 0;
  for (ll row = piece.begin; row < piece.end; ++row) {
    float centre = mean != nullptr ? mean[row] : 0;
    float d = widen(dy[row * dy_stride + c]);
    float normal = (x[row * x_stride + c] - centre) * rstd[row];
    weight_sum = fmaf(d, normal, weight_sum);
    bias_sum += d;
  }
  const ll to = static_cast<ll>(blockIdx.y) * width + c;
  weight_partials[to] = weight_sum;
  if (bias_partials != nullptr) {
    bias_partials[to] = bias_sum;
  }
}
