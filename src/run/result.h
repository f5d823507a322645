// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "run/task.h"

namespace accrue {

/// out/model: what was trained, with the tokenizer, in --save-dtype. Whole, and
/// without what an earlier end of the run left there. With --merge the model is
/// merged, and its adapter is in out/adapter, as it was trained.
void save_result(Task& task);

} // namespace accrue
