// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "tensor/cpu/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_access.h"

namespace accrue::tensor {
namespace {

/// Queries whose scores exist at a time: no [T, T] matrix does (arXiv
/// 2205.14135).
constexpr int64_t kQueryRows = 64;

/// Rows of one sample in a tensor [T, heads · D], accessed by head.
struct HeadRows {
  const at::Tensor& tensor;
  int64_t first; // row
  int64_t dim;

  /// Matrix [.., D] that starts at `row` of the sample.
  Matrix operator()(int64_t head, int64_t row) const {
    const auto* data = static_cast<const char*>(row_of(tensor, first + row));
    return {data + offset(head), type_of(tensor), tensor.stride(0)};
  }
  MutableMatrix out(int64_t head, int64_t row) const {
    auto* data = static_cast<char*>(mutable_row_of(tensor, first + row));
    return {data + offset(head), type_of(tensor), tensor.stride(0)};
  }

 private:
  size_t offset(int64_t head) const {
    return static_cast<size_t>(head * dim) * tensor.element_size();
  }
};

/// Input and results of attention on one sample.
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
  void* logsumexp_of(int64_t head, int64_t row) const {
    return static_cast<char*>(mutable_row_of(logsumexp, head)) +
        static_cast<size_t>(qkv.first + row) * logsumexp.element_size();
  }
};

/// Input and results of attention on a stream of samples.
struct Samples {
  std::span<const int64_t> offsets;
  const at::Tensor& qkv;
  const Heads& heads;
  const at::Tensor& out;
  const at::Tensor& logsumexp;

  Sample operator[](size_t index) const {
    int64_t begin = offsets[index];
    return {
        heads,
        offsets[index + 1] - begin,
        {qkv, begin, heads.dim},
        {out, begin, heads.dim},
        logsumexp,
        type_of(qkv)};
  }
};

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

/// Computes out = rows [block.rows, D] · keys [columns, D]ᵀ, except what the
/// causal mask hides.
void multiply_keys(
    const Sample& s,
    const Block& block,
    const Matrix& rows,
    const Matrix& keys,
    const MutableMatrix& out) {
  kernels().gemm(
      {.m = block.rows,
       .n = block.columns,
       .k = s.heads.dim,
       .a = rows,
       .b = keys.transposed(),
       .c = out,
       .compute = s.compute,
       .diagonal = block.row});
}

/// Computes the scores Q·Kᵀ of a block.
ScoreRows make_scores(
    const Sample& s,
    int64_t head,
    const Block& block,
    const MutableMatrix& scores) {
  int64_t kv = head / s.heads.group();
  multiply_keys(s, block, s.query(head, block.row), s.key(kv), scores);
  return {
      .type = sum_type(s.compute),
      .rows = block.rows,
      .columns = block.columns,
      .stride = scores.row_stride,
      .length = block.row + 1,
      .scale = 1 / std::sqrt(static_cast<double>(s.heads.dim)),
      .scores = scores.data,
      .logsumexp = s.logsumexp_of(head, block.row)};
}

/// Allocates memory for the scores of a block, in the sum type.
at::Tensor score_memory(Type compute, int64_t length) {
  return empty(sum_type(compute), {std::min(kQueryRows, length), length});
}

void forward_head(const Sample& s, int64_t head) {
  int64_t kv = head / s.heads.group();
  at::Tensor memory = score_memory(s.compute, s.length);
  for_blocks(s.length, [&](const Block& block) {
    MutableMatrix scores = mutable_matrix(memory);
    kernels().softmax(make_scores(s, head, block, scores));
    kernels().gemm(
        {.m = block.rows,
         .n = s.heads.dim,
         .k = block.columns,
         .a = scores,
         .b = s.value(kv),
         .c = s.out.out(head, block.row),
         .compute = s.compute});
  });
}

/// Backward of the queries that share one key/value head, in order. Adds to the
/// gradients of key and value, and writes those of the queries.
class GroupBackward {
 public:
  GroupBackward(
      const Sample& sample,
      int64_t kv,
      const HeadRows& dout,
      const HeadRows& dqkv)
      : s_(sample),
        kv_(kv),
        dout_(dout),
        dqkv_(dqkv),
        p_memory_(score_memory(s_.compute, s_.length)),
        d_memory_(score_memory(s_.compute, s_.length)),
        delta_(empty(sum_type(s_.compute), {kQueryRows})) {}

  void run() const {
    const int64_t group = s_.heads.group();
    for (int64_t head = kv_ * group; head < (kv_ + 1) * group; ++head) {
      for_blocks(
          s_.length, [&](const Block& block) { run_block(head, block); });
    }
  }

 private:
  void run_block(int64_t head, const Block& block) const {
    const MutableMatrix p = mutable_matrix(p_memory_); // probabilities
    const MutableMatrix d = mutable_matrix(d_memory_); // gradient of scores
    const Matrix dout = dout_(head, block.row);
    const Matrix out = s_.out(head, block.row);
    const ScoreRows scores = make_scores(s_, head, block, p);
    multiply_keys(s_, block, dout, s_.value(kv_), d);
    kernels().row_products(
        {.type = s_.compute,
         .rows = block.rows,
         .columns = s_.heads.dim,
         .o = out.data,
         .o_stride = out.row_stride,
         .d = dout.data,
         .d_stride = dout.row_stride,
         .products = delta_.mutable_data_ptr()});
    kernels().softmax_backward(scores, delta_.const_data_ptr(), d.data);
    const int64_t first_value = s_.heads.queries + s_.heads.keys;
    fold(block, p, dout, dqkv_.out(first_value + kv_, 0));
    fold(
        block,
        d,
        s_.query(head, block.row),
        dqkv_.out(s_.heads.queries + kv_, 0));
    kernels().gemm(
        {.m = block.rows,
         .n = s_.heads.dim,
         .k = block.columns,
         .a = d,
         .b = s_.key(kv_),
         .c = dqkv_.out(head, block.row),
         .compute = s_.compute});
  }

  /// Adds scores [rows, columns]ᵀ · rows [rows, D] to out [columns, D].
  void fold(
      const Block& block,
      const Matrix& scores,
      const Matrix& rows,
      const MutableMatrix& out) const {
    kernels().gemm(
        {.m = block.columns,
         .n = s_.heads.dim,
         .k = block.rows,
         .a = scores.transposed(),
         .b = rows,
         .c = out,
         .compute = s_.compute,
         .add = true});
  }

  const Sample& s_;
  int64_t kv_;
  const HeadRows& dout_;
  const HeadRows& dqkv_;
  at::Tensor p_memory_;
  at::Tensor d_memory_;
  at::Tensor delta_; // Σ over a row of out · dout
};

} // namespace

void CpuBackend::attention(
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp) const {
  const Samples samples{offsets, qkv, heads, out, logsumexp};
  int64_t count = static_cast<int64_t>(offsets.size()) - 1;
  parallel_tasks(count * heads.queries, [&](int64_t task) {
    forward_head(
        samples[static_cast<size_t>(task / heads.queries)],
        task % heads.queries);
  });
}

at::Tensor CpuBackend::attention_backward(
    const Chunk& chunk,
    std::span<const int64_t> offsets,
    const at::Tensor& qkv,
    const Heads& heads,
    const at::Tensor& out,
    const at::Tensor& logsumexp,
    const at::Tensor& dout) const {
  const Samples samples{offsets, qkv, heads, out, logsumexp};
  at::Tensor dqkv = empty(type_of(dout), {chunk.size(), qkv.size(1)});
  columns(dqkv, heads.width(), 2 * heads.keys * heads.dim).zero_();
  int64_t count = chunk.last_sample - chunk.first_sample;
  parallel_tasks(count * heads.keys, [&](int64_t task) {
    auto index = static_cast<size_t>(chunk.first_sample + task / heads.keys);
    int64_t row = offsets[index] - chunk.begin;
    const Sample sample = samples[index];
    const HeadRows dout_rows{dout, row, heads.dim};
    const HeadRows dqkv_rows{dqkv, row, heads.dim};
    GroupBackward(sample, task % heads.keys, dout_rows, dqkv_rows).run();
  });
  return dqkv;
}

} // namespace accrue::tensor
