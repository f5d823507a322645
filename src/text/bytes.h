#pragma once

#include <cstdint>

namespace accrue {

/// The vocabulary of a model without a tokenizer: one token per UTF-8 byte.
struct ByteVocabulary {
  static constexpr int64_t kSize = 256;
  /// Ends every document. NUL, which no text file contains.
  static constexpr int64_t kSeparator = 0;
};

} // namespace accrue
