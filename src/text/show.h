#pragma once

#include <string>

#include "text/dataset.h"
#include "text/vocabulary.h"

namespace accrue {

/// A sequence as text for people, what is trained on between ⟦ and ⟧. Special
/// tokens are spelled.
std::string show(const Vocabulary& vocabulary, const Sequence& sequence);

} // namespace accrue
