// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "io/json.h"

namespace accrue::io {

/// Error in a JSON text: what is wrong, what to do about it, and where it is.
class JsonError : public std::runtime_error {
 public:
  JsonError(const std::string& what, size_t offset)
      : std::runtime_error(what), offset_(offset) {}

  /// Offset of the wrong byte; the length of the text if it ends too early.
  size_t offset() const {
    return offset_;
  }

 private:
  size_t offset_;
};

/// Parses a JSON text by RFC 8259. Difference from Json::parse: a key that
/// occurs twice in one object is an error, and so are more than kDeepestJson
/// levels. Throws JsonError.
OrderedJson parse_json(std::string_view text);

} // namespace accrue::io
