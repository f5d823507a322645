#include "memory/planner.h"

#include <algorithm>
#include <cmath>

namespace accrue::memory {
namespace {

/// Beyond any machine's memory, and still a uint64_t.
constexpr double kMostBytes = 0x1p62;

/// Times closer than this are the same on a machine that does other things.
constexpr double kSameTime = 1.02;

std::vector<const Probe*> probes_of(const FitTable& table, bool checkpointing) {
  std::vector<const Probe*> probes;
  for (const Probe& probe : table.probes) {
    if (probe.way.checkpointing == checkpointing) {
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
      static_cast<double>(b.way.micro_batch - a.way.micro_batch);
}

} // namespace

const Probe* FitTable::find(const Way& way) const {
  auto it = std::find_if(probes.begin(), probes.end(), [&](const Probe& p) {
    return p.way == way;
  });
  return it == probes.end() ? nullptr : &*it;
}

bool FitTable::measured(bool checkpointing) const {
  return find({0, checkpointing}) != nullptr &&
      find({1, checkpointing}) != nullptr;
}

uint64_t FitTable::peak(const Way& way) const {
  std::vector<const Probe*> known = probes_of(*this, way.checkpointing);
  size_t above = 1;
  while (above + 1 < known.size() &&
         known[above]->way.micro_batch < way.micro_batch) {
    ++above;
  }
  const Probe& a = *known[above - 1];
  const Probe& b = *known[above];
  double bytes = static_cast<double>(b.tensor_bytes) +
      slope(a, b) * static_cast<double>(way.micro_batch - b.way.micro_batch);
  return program_bytes +
      static_cast<uint64_t>(std::clamp(bytes, 0.0, kMostBytes));
}

uint64_t FitTable::bytes_per_sample(bool checkpointing) const {
  std::vector<const Probe*> known = probes_of(*this, checkpointing);
  return static_cast<uint64_t>(
      slope(*known[known.size() - 2], *known[known.size() - 1]));
}

int64_t FitTable::largest(bool checkpointing, uint64_t budget_bytes) const {
  if (!measured(checkpointing) || peak({1, checkpointing}) > budget_bytes) {
    return 0;
  }
  int64_t fits = 1;
  for (int64_t stride = int64_t{1} << 40; stride > 0; stride /= 2) {
    if (peak({fits + stride, checkpointing}) <= budget_bytes) {
      fits += stride;
    }
  }
  return fits;
}

double FitTable::step_seconds(const Way& way, int64_t global_batch) const {
  // A size that was not timed takes as long per sample as the nearest one.
  auto seconds = [&](int64_t samples) {
    const Probe* nearest = nullptr;
    auto distance = [&](const Probe& probe) {
      return std::abs(std::log(
          static_cast<double>(probe.way.micro_batch) /
          static_cast<double>(samples)));
    };
    for (const Probe* probe : probes_of(*this, way.checkpointing)) {
      if (probe->seconds > 0 &&
          (nearest == nullptr || distance(*probe) < distance(*nearest))) {
        nearest = probe;
      }
    }
    return nearest->seconds * static_cast<double>(samples) /
        static_cast<double>(nearest->way.micro_batch);
  };
  int64_t rest = global_batch % way.micro_batch;
  int64_t whole = global_batch / way.micro_batch;
  double total = static_cast<double>(whole) * seconds(way.micro_batch);
  return commit_seconds + total + (rest > 0 ? seconds(rest) : 0);
}

std::optional<Way> FitTable::fastest(
    uint64_t budget_bytes,
    int64_t global_batch) const {
  auto fits = [&](const Probe& probe) {
    return probe.seconds > 0 && peak(probe.way) <= budget_bytes;
  };
  double best_seconds = HUGE_VAL;
  for (const Probe& probe : probes) {
    if (fits(probe)) {
      best_seconds =
          std::min(best_seconds, step_seconds(probe.way, global_batch));
    }
  }
  std::optional<Way> best;
  for (const Probe& probe : probes) {
    if (fits(probe) &&
        step_seconds(probe.way, global_batch) <= best_seconds * kSameTime &&
        (!best || peak(probe.way) < peak(*best))) {
      best = probe.way;
    }
  }
  return best;
}

int64_t FitTable::next(const Way& way, uint64_t budget_bytes, int64_t limit)
    const {
  return std::clamp(
      std::min(2 * way.micro_batch, largest(way.checkpointing, budget_bytes)),
      way.micro_batch,
      limit);
}

} // namespace accrue::memory
