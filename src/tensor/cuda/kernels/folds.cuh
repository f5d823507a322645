// SPDX-License-Identifier: Apache-2.0

// Sums in order: a thread has a column.

/// Rows that one partial sum adds.
struct Piece {
  ll begin;
  ll end;
};

/// Returns piece blockIdx.y of pieces that end at piece_ends[i] · scale.
__device__ inline Piece piece_of(const int* piece_ends, int scale) {
  const unsigned i = blockIdx.y;
  ll begin = i > 0 ? piece_ends[i - 1] : 0;
  return {begin * scale, static_cast<ll>(piece_ends[i]) * scale};
}

/// Adds partials [pieces, width] to sum [width], one after the other.
extern "C" __global__ void fold_partials(
    const float* partials,
    int pieces,
    float* sum,
    int width) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  float total = sum[c];
  for (int i = 0; i < pieces; ++i) {
    total += partials[static_cast<ll>(i) * width + c];
  }
  sum[c] = total;
}

/// Adds rows order[i] of dy to rows sorted_ids[i] of the gradient. Rows of one
/// id are added in the order of the list, by the blocks of the first one.
/// Blocks share columns in x and positions of the list in y.
extern "C" __global__ void embed_fold(
    const ll* sorted_ids,
    const ll* order,
    int tokens,
    const float* dy,
    ll dy_stride,
    float* gradient,
    ll gradient_stride,
    int width) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  for (ll first = blockIdx.y; first < tokens; first += gridDim.y) {
    const ll id = sorted_ids[first];
    if (first > 0 && sorted_ids[first - 1] == id) {
      continue;
    }
    float* to = gradient + id * gradient_stride + c;
    float total = *to;
    for (ll i = first; i < tokens && sorted_ids[i] == id; ++i) {
      total += dy[order[i] * dy_stride + c];
    }
    *to = total;
  }
}

/// Adds the rows t of dy with ids[t] = trained[row] to a row of the gradient,
/// in order of t. Blocks share columns in x; blockIdx.y is the row.
extern "C" __global__ void embed_rows_fold(
    const ll* ids,
    int tokens,
    const ll* trained,
    const float* dy,
    ll dy_stride,
    float* gradient,
    ll gradient_stride,
    int width) {
  const int c = grid_thread();
  if (c >= width) {
    return;
  }
  const ll row = blockIdx.y;
  const ll id = trained[row];
  float* to = gradient + row * gradient_stride + c;
  float total = *to;
  for (ll t = 0; t < tokens; ++t) {
    if (ids[t] == id) {
      total += dy[t * dy_stride + c];
    }
  }
  *to = total;
}
