// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "text/dataset.h"
#include "text/vocabulary.h"

namespace accrue {

/// Returns a sequence as text for people. Tokens that are trained on are
/// between ⟦ and ⟧; special tokens are spelled out.
std::string show(const Vocabulary& vocabulary, const Sequence& sequence);

} // namespace accrue
