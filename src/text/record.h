#pragma once

#include "io/json.h"
#include "text/conversation.h"

namespace accrue {

/// Brings a record in one of the shapes that data is published in to that of
/// examples (text/example.h), and leaves every other record as it is:
///   - ShareGPT: "conversations" of {"from", "value"}, perhaps with "system",
///     and "chosen" and "rejected", become "messages", or "prompt" if there are
///     answers to it;
///   - Alpaca: "instruction", "input" and "output" become "prompt" and
///     "completion".
/// Throws LineProblem for a record that is of two shapes or says what no
/// example can.
io::OrderedJson normalize_record(io::OrderedJson record);

} // namespace accrue
