#pragma once

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/cgroup.h"
#include "train/model_source.h"
#include "train/options.h"

namespace accrue::cli {

/// People read stdout, unless --json gives it to machines.
inline std::FILE* people(const TrainOptions& options) {
  return options.json ? stderr : stdout;
}

/// On stderr, whatever else is silenced.
inline void print_warnings(const ModelSource& source) {
  for (const std::string& warning : source.warnings) {
    fmt::print(stderr, "warning: {}\n", warning);
  }
}

/// 0 = as OMP_NUM_THREADS says, else all cores that this process may use.
inline void set_threads(int64_t threads) {
  if (const char* wanted = std::getenv("OMP_NUM_THREADS");
      threads == 0 && wanted != nullptr) {
    threads = std::atoi(wanted); // of a list, the outermost level
  }
  if (threads <= 0) {
    // LibTorch's own choice leaves out the second threads of cores.
    threads = std::min<int64_t>(usable_cpus(), at::get_num_threads());
  }
  at::set_num_threads(static_cast<int>(threads));
}

} // namespace accrue::cli
