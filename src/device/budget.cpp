// SPDX-License-Identifier: Apache-2.0
#include "device/budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "accrue/core/units.h"

namespace accrue::device {
namespace {

constexpr uint64_t kSafetyBytes = uint64_t{4} << 20;
/// Shares of what is available: others may want host memory, too.
constexpr double kHostShare = 0.8;
constexpr double kDeviceShare = 0.9;

} // namespace

Budget::~Budget() {
  if (limited_) {
    memory_.set_limit(std::nullopt);
  }
}

uint64_t Budget::default_bytes(DeviceMemory& memory) {
  const double share = &memory == &host_memory() ? kHostShare : kDeviceShare;
  return static_cast<uint64_t>(static_cast<double>(memory.available()) * share);
}

uint64_t Budget::usable() const {
  return total_ - std::min(total_, kSafetyBytes);
}

uint64_t Budget::needed_for(uint64_t peak_bytes) {
  return peak_bytes + kSafetyBytes;
}

uint64_t Budget::limit_tensors(uint64_t program_bytes) {
  if (program_bytes >= usable()) {
    throw MemoryError(fmt::format(
        "[memory] not even one sample fits: the program alone needs {}, the "
        "budget is {}, {} are missing. Raise the budget (--memory).",
        format_bytes(needed_for(program_bytes)),
        format_bytes(total_),
        format_bytes(needed_for(program_bytes) - total_)));
  }
  memory_.set_limit(usable() - program_bytes);
  limited_ = true;
  return usable() - program_bytes;
}

} // namespace accrue::device
