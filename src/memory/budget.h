#pragma once

#include <cstdint>

namespace accrue::memory {

/// Part of every budget that is kept free, because the heap is not measured as
/// finely as tensors.
constexpr uint64_t kSafetyBytes = uint64_t{4} << 20;

/// What the process takes beside large tensors, with what it takes later:
/// files, the report, code that has not run yet. Gives freed blocks back, to
/// know what is left.
uint64_t program_bytes();

/// Lets large tensors take what the budget leaves beside the program, and
/// returns how much that is. Throws MemoryError if it is nothing.
uint64_t hold_to_budget(uint64_t budget_bytes, uint64_t program_bytes);

} // namespace accrue::memory
