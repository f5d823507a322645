// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/json.h"
#include "text/conversation.h"

namespace accrue {

/// Converts a record of a widespread format to that of examples
/// (text/example.h), and leaves every other record as it is:
///   - ShareGPT: "conversations" of {"from", "value"}, perhaps with "system",
///     and "chosen" and "rejected", become "messages", or "prompt" if there are
///     answers to it;
///   - Alpaca: "instruction", "input" and "output" become "prompt" and
///     "completion".
/// Throws LineProblem for a record that fits both formats or that can't be
/// converted.
io::OrderedJson normalize_record(io::OrderedJson record);

} // namespace accrue
