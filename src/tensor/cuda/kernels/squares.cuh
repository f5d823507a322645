// SPDX-License-Identifier: Apache-2.0

/// Computes parts[i] = Σ x² in fp64 over part i of 2¹⁶ elements. A block
/// computes a part.
KERNEL(square_parts)(const Element* x, ll count, double* parts) {
  const ll size = 1 << 16;
  const ll begin = blockIdx.x * size;
  const ll end = begin + size < count ? begin + size : count;
  double sum = 0;
  for (ll i = begin + thread(); i < end; i += threads()) {
    double value = widen(x[i]);
    sum = fma(value, value, sum);
  }
  sum = block_sum(sum);
  if (thread() == 0) {
    parts[blockIdx.x] = sum;
  }
}
