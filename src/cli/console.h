#pragma once

#include <ATen/Parallel.h>

#include <cstdio>

#include "train/options.h"

namespace accrue::cli {

/// People read stdout, unless --json gives it to machines.
inline std::FILE* people(const TrainOptions& options) {
  return options.json ? stderr : stdout;
}

/// 0 = all cores.
inline void set_threads(int64_t threads) {
  if (threads > 0) {
    at::set_num_threads(static_cast<int>(threads));
  }
}

} // namespace accrue::cli
