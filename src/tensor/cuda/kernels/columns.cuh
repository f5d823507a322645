// SPDX-License-Identifier: Apache-2.0

/// Computes sums [pieces, width] of x over pieces (Piece) of rows, in order.
/// Blocks share columns in x; blockIdx.y is the piece.
KERNEL(column_partials)
(const Element* x,
 ll x_stride,
 const int* piece_ends,
 int piece_scale,
 float* partials,
 int width) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  const Piece piece = piece_of(piece_ends, piece_scale);
  float sum = 0;
  for (ll row = piece.begin; row < piece.end; ++row) {
    sum += widen(x[row * x_stride + c]);
  }
  partials[static_cast<ll>(blockIdx.y) * width + c] = sum;
}
