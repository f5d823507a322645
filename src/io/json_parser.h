#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "io/json.h"

namespace accrue::io {

/// Why a text is not JSON, what to do about it, and where.
class JsonError : public std::runtime_error {
 public:
  JsonError(const std::string& what, size_t offset)
      : std::runtime_error(what), offset_(offset) {}

  /// Of the byte that is wrong; the length of the text if that ends too early.
  size_t offset() const {
    return offset_;
  }

 private:
  size_t offset_;
};

/// Parses a JSON text as RFC 8259 has it. Difference from Json::parse: the same
/// key twice in one object is an error, too, and so are more than
/// kDeepestJson levels. Throws JsonError.
OrderedJson parse_json(std::string_view text);

} // namespace accrue::io
