// SPDX-License-Identifier: Apache-2.0

/// Makes a step of AdamW (arXiv 1711.05101) with, rounded to fp32 from fp64:
/// decay = 1 - lr · weight_decay, share1 = 1 - beta1, share2 = 1 - beta2,
/// size = lr / correction1, scale = √correction2.
extern "C" __global__ void adamw(
    const float* gradient,
    float* parameter,
    float* average,
    float* square_average,
    ll count,
    float decay,
    float share1,
    float beta2,
    float share2,
    float size,
    float scale,
    float epsilon) {
  const ll step = static_cast<ll>(gridDim.x) * threads();
  for (ll i = static_cast<ll>(blockIdx.x) * threads() + thread(); i < count;
       i += step) {
    float g = gradient[i];
    float m = fmaf(share1, g - average[i], average[i]);
    float v = fmaf(share2 * g, g, beta2 * square_average[i]);
    average[i] = m;
    square_average[i] = v;
    float denominator = sqrtf(v) / scale + epsilon;
    parameter[i] = fmaf(-size, m / denominator, decay * parameter[i]);
  }
}
