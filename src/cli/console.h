#pragma once

#include <ATen/Parallel.h>

#include <cstdio>

#include "report/progress.h"
#include "train/options.h"
#include "train/task.h"

namespace accrue::cli {

/// People read stdout, unless --json gives it to machines.
inline std::FILE* people(const TrainOptions& options) {
  return options.json ? stderr : stdout;
}

/// Shows ticks as passing lines.
inline Tick ticker(report::Progress& progress) {
  return [&](const std::string& what, uint64_t done, uint64_t total) {
    progress.passing(what, done, total);
  };
}

inline void set_threads(const TrainOptions& options) {
  if (options.threads > 0) {
    at::set_num_threads(static_cast<int>(options.threads));
  }
}

} // namespace accrue::cli
