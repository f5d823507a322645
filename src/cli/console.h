#pragma once

#include <ATen/Parallel.h>

#include <cstdio>

#include "train/options.h"

namespace accrue::cli {

/// People read stdout, unless --json gives it to machines.
inline std::FILE* people(const TrainOptions& options) {
  return options.json ? stderr : stdout;
}

inline void set_threads(const TrainOptions& options) {
  if (options.threads > 0) {
    at::set_num_threads(static_cast<int>(options.threads));
  }
}

} // namespace accrue::cli
