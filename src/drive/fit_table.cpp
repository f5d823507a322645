// SPDX-License-Identifier: Apache-2.0
#include "drive/fit_table.h"

#include <algorithm>
#include <cmath>

namespace accrue::drive {
namespace {

/// Beyond any machine's memory, and still a uint64_t.
constexpr double kMostBytes = 0x1p62;

/// Times closer than this are the same on a machine that does other things.
constexpr double kSameTime = 1.02;

std::vector<const Probe*> probes_of(const FitTable& table, bool recompute) {
  std::vector<const Probe*> probes;
  for (const Probe& probe : table.probes) {
    if (probe.batching.recompute == recompute) {
      probes.push_back(&probe);
    }
  }
  return probes;
}

/// Bytes per sample between two probes: never negative.
double slope(const Probe& a, const Probe& b) {
  auto rise =
      static_cast<double>(b.tensor_bytes) - static_cast<double>(a.tensor_bytes);
  return std::max(rise, 0.0) /
      static_cast<double>(b.batching.max_samples - a.batching.max_samples);
}

} // namespace

const Probe* FitTable::find(const MicroBatching& batching) const {
  auto it = std::find_if(probes.begin(), probes.end(), [&](const Probe& p) {
    return p.batching == batching;
  });
  return it == probes.end() ? nullptr : &*it;
}

bool FitTable::measured(bool recompute) const {
  return find({0, recompute}) != nullptr && find({grain, recompute}) != nullptr;
}

uint64_t FitTable::peak(const MicroBatching& batching) const {
  std::vector<const Probe*> known = probes_of(*this, batching.recompute);
  size_t above = 1;
  while (above + 1 < known.size() &&
         known[above]->batching.max_samples < batching.max_samples) {
    ++above;
  }
  const Probe& a = *known[above - 1];
  const Probe& b = *known[above];
  double bytes = static_cast<double>(b.tensor_bytes) +
      slope(a, b) *
          static_cast<double>(batching.max_samples - b.batching.max_samples);
  return program_bytes +
      static_cast<uint64_t>(std::clamp(bytes, 0.0, kMostBytes));
}

uint64_t FitTable::bytes_per_sample(bool recompute) const {
  std::vector<const Probe*> known = probes_of(*this, recompute);
  return static_cast<uint64_t>(
      slope(*known[known.size() - 2], *known[known.size() - 1]));
}

int64_t FitTable::largest(bool recompute, uint64_t budget_bytes) const {
  if (!measured(recompute) || peak({grain, recompute}) > budget_bytes) {
    return 0;
  }
  int64_t fits = 1; // grains
  for (int64_t stride = int64_t{1} << 40; stride > 0; stride /= 2) {
    if (peak({(fits + stride) * grain, recompute}) <= budget_bytes) {
      fits += stride;
    }
  }
  return fits * grain;
}

double FitTable::step_seconds(
    const MicroBatching& batching,
    int64_t global_batch) const {
  // A size that was not timed takes as long per sample as the nearest one.
  auto seconds = [&](int64_t samples) {
    const Probe* nearest = nullptr;
    auto distance = [&](const Probe& probe) {
      return std::abs(std::log(
          static_cast<double>(probe.batching.max_samples) /
          static_cast<double>(samples)));
    };
    for (const Probe* probe : probes_of(*this, batching.recompute)) {
      if (probe->seconds > 0 &&
          (nearest == nullptr || distance(*probe) < distance(*nearest))) {
        nearest = probe;
      }
    }
    return nearest->seconds * static_cast<double>(samples) /
        static_cast<double>(nearest->batching.max_samples);
  };
  int64_t rest = global_batch % batching.max_samples;
  int64_t whole = global_batch / batching.max_samples;
  double total = static_cast<double>(whole) * seconds(batching.max_samples);
  return commit_seconds + total + (rest > 0 ? seconds(rest) : 0);
}

std::optional<MicroBatching> FitTable::fastest(
    uint64_t budget_bytes,
    int64_t global_batch) const {
  auto fits = [&](const Probe& probe) {
    return probe.seconds > 0 && peak(probe.batching) <= budget_bytes;
  };
  double best_seconds = HUGE_VAL;
  for (const Probe& probe : probes) {
    if (fits(probe)) {
      best_seconds =
          std::min(best_seconds, step_seconds(probe.batching, global_batch));
    }
  }
  std::optional<MicroBatching> best;
  for (const Probe& probe : probes) {
    if (fits(probe) &&
        step_seconds(probe.batching, global_batch) <=
            best_seconds * kSameTime &&
        (!best || peak(probe.batching) < peak(*best))) {
      best = probe.batching;
    }
  }
  return best;
}

int64_t FitTable::next(
    const MicroBatching& batching,
    uint64_t budget_bytes,
    int64_t limit) const {
  return std::clamp(
      std::min(
          2 * batching.max_samples, largest(batching.recompute, budget_bytes)),
      batching.max_samples,
      limit);
}

} // namespace accrue::drive
