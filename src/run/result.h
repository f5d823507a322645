// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "run/task.h"

namespace accrue {

/// Writes out/model: the trained model or adapter with the tokenizer, in
/// --save-dtype. Replaces the folder of an earlier end of the run at once. With
/// --merge, out/model is the merged model and out/adapter its adapter,
/// unrounded.
void save_result(Task& task);

} // namespace accrue
