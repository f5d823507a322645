// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "io/json.h"

namespace accrue {

/// The "decoder" of a tokenizer.json: turns tokens into text. Supported:
/// Sequence, ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace,
/// BPEDecoder. Others are refused.
class Decoder {
 public:
  /// Makes a decoder that joins tokens with spaces, for a missing "decoder".
  Decoder() = default;
  explicit Decoder(const io::Node& node);

  std::string operator()(std::vector<std::string> tokens) const;

 private:
  using Tokens = std::vector<std::string>;
  bool present_ = false;
  std::vector<std::function<Tokens(Tokens)>> steps_;
};

} // namespace accrue
