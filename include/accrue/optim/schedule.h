// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "accrue/core/export.h"

namespace accrue {

enum class ScheduleKind { kConstant, kCosine, kLinear, kWsd };

/// The learning rate as a pure function of the number of optimizer steps
/// taken; micro-batches don't exist for it.
struct ACCRUE_API Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  /// Highest learning rate.
  double lr = 1e-3;
  /// Learning rate at the end of cosine, linear and wsd.
  double min_lr = 0;
  /// Steps of linear warm-up from 0. The first step has lr 0 when this is
  /// > 0, as with transformers' schedules.
  int64_t warmup_steps = 0;
  /// Steps of the whole run; the decay ends there.
  int64_t total_steps = 0;

  /// Learning rate of step `step`, counted from 0.
  ///   cosine   arXiv 1608.03983, one half period
  ///   linear   straight to min_lr
  ///   wsd      constant, then linear over the last 20 % (arXiv 2405.18392)
  [[nodiscard]] double at(int64_t step) const;
};

} // namespace accrue
