#include <algorithm>
#include <cmath>

#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "tensor/raw.h"

namespace accrue::tensor {
namespace {

constexpr int64_t kQueryRows = 64; // scores are made for so many at once

/// A sample's part of a tensor [T, heads · D], seen head by head.
struct HeadRows {
  const at::Tensor& tensor;
  int64_t first; // row
  int64_t dim;

  Matrix operator()(int64_t head, int64_t row) const {
    return {
        data(head, row), type_of(tensor), tensor.stride(0), /*col_stride=*/1};
  }
  void* data(int64_t head, int64_t row) const {
    return static_cast<char*>(mutable_row_of(tensor, first + row)) +
        static_cast<size_t>(head * dim) * tensor.element_size();
  }
};

/// One sample.
struct Sample {
  const Heads& heads;
  int64_t length;
  HeadRows qkv;
  HeadRows out;
  const at::Tensor& logsumexp; // [H, T]
  Type compute;

  Matrix query(int64_t head, int64_t row) const {
    return qkv(head, row);
  }
  Matrix key(int64_t head) const {
    return qkv(heads.queries + head, 0);
  }
  Matrix value(int64_t head) const {
    return qkv(heads.queries + heads.keys + head, 0);
  }
  void* sums(int64_t head, int64_t row) const {
    return static_cast<char*>(mutable_row_of(logsumexp, head)) +
        static_cast<size_t>(qkv.first + row) * logsumexp.element_size();
  }
};

Sample sample_of(
    size_t index,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp) {
  int64_t begin = offsets[index];
  return {
      heads,
      offsets[index + 1] - begin,
      {qkv, begin, heads.dim},
      {out, begin, heads.dim},
      logsumexp,
      type_of(qkv)};
}

/// a [m, k] · b [k, n] into c.
Gemm product(
    const Sample& sample,
    int64_t m,
    int64_t n,
    int64_t k,
    const Matrix& a,
    const Matrix& b,
    const Matrix& c) {
  Gemm gemm;
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.a = a;
  gemm.b = b;
  gemm.c = const_cast<void*>(c.data);
  gemm.c_type = c.type;
  gemm.c_stride = c.row_stride;
  gemm.compute = sample.compute;
  return gemm;
}

/// Rows of queries of one head.
struct Block {
  int64_t row;
  int64_t rows;
  int64_t columns; // keys up to the last of these rows
};

template <class Run>
void for_blocks(int64_t length, const Run& run) {
  for (int64_t row = 0; row < length; row += kQueryRows) {
    int64_t rows = std::min(kQueryRows, length - row);
    run(Block{row, rows, row + rows});
  }
}

/// rows [block.rows, dim] · keys [columns, dim]ᵀ -> c; what is masked is not
/// made.
void multiply_keys(
    const Sample& s,
    const Block& block,
    const Matrix& rows,
    const Matrix& keys,
    const Matrix& c) {
  Gemm gemm = product(
      s, block.rows, block.columns, s.heads.dim, rows, keys.transposed(), c);
  gemm.diagonal = block.row;
  kernels().gemm(gemm);
}

/// Q·Kᵀ of a block.
ScoreRows make_scores(
    const Sample& s,
    int64_t head,
    const Block& block,
    const Matrix& scores) {
  int64_t group = s.heads.group();
  multiply_keys(
      s, block, s.query(head, block.row), s.key(head / group), scores);
  ScoreRows rows;
  rows.type = sum_type(s.compute);
  rows.rows = block.rows;
  rows.columns = block.columns;
  rows.stride = scores.row_stride;
  rows.length = block.row + 1;
  rows.scale = 1 / std::sqrt(static_cast<double>(s.heads.dim));
  rows.scores = const_cast<void*>(scores.data);
  rows.logsumexp = s.sums(head, block.row);
  return rows;
}

/// Memory for a block's scores in the sum type.
at::Tensor score_memory(Type compute, int64_t length) {
  return empty(sum_type(compute), {std::min(kQueryRows, length), length});
}

void forward_head(const Sample& s, int64_t head) {
  int64_t group = s.heads.group();
  at::Tensor memory = score_memory(s.compute, s.length);
  for_blocks(s.length, [&](const Block& block) {
    Matrix scores = matrix(memory);
    kernels().softmax(make_scores(s, head, block, scores));
    kernels().gemm(product(
        s,
        block.rows,
        s.heads.dim,
        block.columns,
        scores,
        s.value(head / group),
        s.out(head, block.row)));
  });
}

/// Everything that goes into the gradients of one key/value head, in order.
void backward_group(
    const Sample& s,
    int64_t kv,
    const HeadRows& dout,
    const HeadRows& dqkv) {
  int64_t group = s.heads.group();
  int64_t dim = s.heads.dim;
  Type sum = sum_type(s.compute);
  at::Tensor p_memory = score_memory(s.compute, s.length);
  at::Tensor d_memory = score_memory(s.compute, s.length);
  at::Tensor delta = empty(sum, {kQueryRows});
  Matrix dkey = dqkv(s.heads.queries + kv, 0);
  Matrix dvalue = dqkv(s.heads.queries + s.heads.keys + kv, 0);
  for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
    for_blocks(s.length, [&](const Block& block) {
      Matrix p = matrix(p_memory);
      Matrix d = matrix(d_memory);
      Matrix dout_rows = dout(head, block.row);
      ScoreRows rows = make_scores(s, head, block, p);
      multiply_keys(s, block, dout_rows, s.value(kv), d);
      kernels().row_products(
          s.compute,
          block.rows,
          dim,
          s.out.data(head, block.row),
          s.out.tensor.stride(0),
          dout_rows.data,
          dout_rows.row_stride,
          delta.mutable_data_ptr());
      kernels().softmax_backward(
          rows, delta.const_data_ptr(), d_memory.mutable_data_ptr());
      auto fold = [&](const Matrix& a, const Matrix& b, const Matrix& c) {
        Gemm gemm =
            product(s, block.columns, dim, block.rows, a.transposed(), b, c);
        gemm.add = true;
        kernels().gemm(gemm);
      };
      fold(p, dout_rows, dvalue);
      fold(d, s.query(head, block.row), dkey);
      kernels().gemm(product(
          s,
          block.rows,
          dim,
          block.columns,
          d,
          s.key(kv),
          dqkv(head, block.row)));
    });
  }
}

} // namespace

void attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp) {
  int64_t samples = static_cast<int64_t>(offsets.size()) - 1;
  parallel_tasks(samples * heads.queries, [&](int64_t task) {
    auto sample = static_cast<size_t>(task / heads.queries);
    forward_head(
        sample_of(sample, offsets, qkv, heads, out, logsumexp),
        task % heads.queries);
  });
}

at::Tensor attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout) {
  at::Tensor dqkv = empty(type_of(dout), {chunk.size(), qkv.size(1)});
  columns(dqkv, heads.width(), 2 * heads.keys * heads.dim).zero_();
  int64_t samples = chunk.last_sample - chunk.first_sample;
  parallel_tasks(samples * heads.keys, [&](int64_t task) {
    auto sample = static_cast<size_t>(chunk.first_sample + task / heads.keys);
    int64_t row = offsets[sample] - chunk.begin;
    backward_group(
        sample_of(sample, offsets, qkv, heads, out, logsumexp),
        task % heads.keys,
        {dout, row, heads.dim},
        {dqkv, row, heads.dim});
  });
  return dqkv;
}

} // namespace accrue::tensor
