// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace accrue {

/// Treatment of an example that is longer than the longest sample.
enum class TooLong { kTruncate, kDrop, kError };

/// Way of making samples of text. A conversation or a preference pair is always
/// one sample.
enum class Packing {
  kOn, // split from all documents, one after another
  kDocuments, // like kOn, but attention and positions end with a document
  kOff, // no sample crosses documents; lengths differ
};

} // namespace accrue
