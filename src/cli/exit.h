// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace accrue::cli {

/// Thrown to end the program with an exit code, when all output has been
/// printed. Only main catches it.
struct Exit {
  int code = 0;
};

} // namespace accrue::cli
