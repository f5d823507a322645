// SPDX-License-Identifier: Apache-2.0
#include "models/model_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "tensor/version.h"

namespace accrue {

std::vector<const tensor::Linear*> Block::linears() const {
  std::vector<const tensor::Linear*> list;
  for (const tensor::Linear& linear : qkv) {
    list.push_back(&linear);
  }
  list.push_back(&attention_out);
  for (const tensor::Linear& linear : mlp_in) {
    list.push_back(&linear);
  }
  list.push_back(&mlp_out);
  return list;
}

void ModelWeights::place_rows() {
  at::NoGradGuard no_grad;
  auto place = [](const tensor::TrainedRows* rows,
                  const at::Tensor& table,
                  int64_t& placed) {
    if (rows != nullptr && tensor::version_of(rows->values) != placed) {
      table.detach().index_copy_(
          0, rows->ids, rows->values.detach().to(table.scalar_type()));
      placed = tensor::version_of(rows->values);
    }
  };
  // Tied rows are the same values in the same table.
  if (!config.tied_head) {
    place(embedding_rows.get(), token_embedding, placed_[0]);
  }
  place(head.rows.get(), head.weight, placed_[1]);
}

} // namespace accrue
