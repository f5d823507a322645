// SPDX-License-Identifier: Apache-2.0

/// Rotates `heads` heads of `dim` columns of each row by the angles of its
/// position; `inverse`: by the opposite angles. cosine and sine are
/// [positions, dim / 2]. Blocks share pairs of columns in x and rows in y.
KERNEL(rotate)
(Element* qkv,
 ll stride,
 int heads,
 int dim,
 const ll* positions,
 const float* cosine,
 const float* sine,
 ll rows,
 int inverse) {
  const int half = dim / 2;
  const int pair = grid_thread();
  if (pair >= heads * half) {
    return;
  }
  const int i = pair % half;
  const int column = pair / half * dim + i;
  for (ll row = blockIdx.y; row < rows; row += gridDim.y) {
    const ll angle = positions[row] * half + i;
    const float c = cosine[angle];
    const float s = inverse ? -sine[angle] : sine[angle];
    Element* x = qkv + row * stride + column;
    float low = widen(x[0]);
    float high = widen(x[half]);
    x[0] = round_to<Element>(fmaf(low, c, -(high * s)));
    x[half] = round_to<Element>(fmaf(high, c, low * s));
  }
}
