// SPDX-License-Identifier: Apache-2.0

/// Number of this thread in its block, and number of threads in a block.
__device__ inline int thread() {
  return static_cast<int>(threadIdx.x);
}
__device__ inline int threads() {
  return static_cast<int>(blockDim.x);
}

/// Number of this thread in the grid's x, for kernels of a thread per column.
__device__ inline int grid_thread() {
  return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

/// Combines the values of a warp. Every thread gets the same bits, because
/// `combine` commutes.
template <class T, class Combine>
__device__ T warp_combine(T x, const Combine& combine) {
  for (int distance = 16; distance > 0; distance /= 2) {
    x = combine(x, __shfl_xor_sync(0xffffffffU, x, distance));
  }
  return x;
}

/// Combines the values of all threads of a block in a fixed tree: those of each
/// warp, then those of the warps. Every thread gets the result.
template <class T, class Combine>
__device__ T block_combine(T x, T neutral, const Combine& combine) {
  __shared__ T parts[32];
  const int lane = thread() % 32;
  x = warp_combine(x, combine);
  __syncthreads(); // until `parts` of an earlier call have been read
  if (lane == 0) {
    parts[thread() / 32] = x;
  }
  __syncthreads();
  return warp_combine(lane < threads() / 32 ? parts[lane] : neutral, combine);
}

template <class T>
__device__ T block_sum(T x) {
  return block_combine(x, T(0), Sum{});
}
__device__ inline float block_max(float x) {
  return block_combine(x, __uint_as_float(0xff800000), Max{}); // -infinity
}
