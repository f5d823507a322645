// SPDX-License-Identifier: Apache-2.0
#include "accrue/optim/schedule.h"

#include <algorithm>
#include <numbers>

#include "core/functions.h"

namespace accrue {
namespace {

constexpr double kWsdDecayShare = 0.2;

} // namespace

double Schedule::at(int64_t step) const {
  if (step < warmup_steps) {
    return lr * static_cast<double>(step) / static_cast<double>(warmup_steps);
  }
  double total =
      static_cast<double>(std::max<int64_t>(total_steps - warmup_steps, 1));
  double progress =
      std::min(static_cast<double>(step - warmup_steps) / total, 1.0);
  double share = 1; // of the way from min_lr to lr
  switch (kind) {
    case ScheduleKind::kConstant:
      return lr;
    case ScheduleKind::kCosine:
      share = 0.5 * (1 + cosine_and_sine(std::numbers::pi * progress).cosine);
      break;
    case ScheduleKind::kLinear:
      share = 1 - progress;
      break;
    case ScheduleKind::kWsd:
      share = std::min(1.0, (1 - progress) / kWsdDecayShare);
      break;
  }
  return min_lr + (lr - min_lr) * share;
}

} // namespace accrue
