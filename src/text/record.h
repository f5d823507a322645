#pragma once

#include <string>

#include "io/json.h"

namespace accrue {

/// Why a record can't be read. Thrown and caught among readers of examples.
struct RecordProblem {
  std::string what;
};

/// Brings a record in one of the shapes that data is published in to that of
/// examples (text/example.h), and leaves every other record as it is:
///   - ShareGPT: "conversations" of {"from", "value"}, perhaps with "system",
///     and "chosen" and "rejected", become "messages", or "prompt" if there are
///     answers to it;
///   - Alpaca: "instruction", "input" and "output" become "prompt" and
///     "completion".
/// Throws RecordProblem for a record that is of two shapes or says what no
/// example can.
io::Json normalize_record(io::Json record);

} // namespace accrue
