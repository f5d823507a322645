#include "memory/budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "accrue/core/units.h"
#include "memory/meter.h"

namespace accrue::memory {
namespace {

constexpr uint64_t kLaterBytes = uint64_t{4} << 20;

} // namespace

uint64_t program_bytes() {
  release_kept();
  uint64_t resident = resident_bytes();
  return resident - std::min(resident, held_bytes()) + kLaterBytes;
}

uint64_t hold_to_budget(uint64_t budget_bytes, uint64_t program_bytes) {
  uint64_t other = program_bytes + kSafetyBytes;
  if (other >= budget_bytes) {
    throw MemoryError(fmt::format(
        "[memory] not even one sample fits: the program alone needs {}, the "
        "budget is {}, {} are missing. Raise the budget (--memory).",
        format_bytes(other),
        format_bytes(budget_bytes),
        format_bytes(other - budget_bytes)));
  }
  set_limit(budget_bytes - other);
  return budget_bytes - other;
}

} // namespace accrue::memory
