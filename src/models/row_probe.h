// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/model_weights.h"

namespace accrue {

/// Whether rows of the model's matrix products have the same bits however many
/// rows a product has. No library promises that, so it is tried with the
/// model's shapes: products of `most_rows` against those of some of them.
bool rows_are_independent(const ModelWeights& weights, int64_t most_rows);

/// Returns how tokens are cut on the device of the weights. Where sums are made
/// by grain and rows depend on each other, all work is done by grain. Decided
/// at the first call.
const tensor::Cut& cut_of(const ModelWeights& weights);

} // namespace accrue
