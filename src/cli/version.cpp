// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <string>

#include "accrue/core/version.h"
#include "cli/commands.h"
#include "cli/threads.h"
#include "tensor/environment.h"

namespace accrue::cli {
namespace {

/// Returns the file that LibTorch was loaded from.
std::string torch_path() {
  Dl_info info{};
  auto* function = reinterpret_cast<void*>(&at::get_num_threads);
  return dladdr(function, &info) != 0 && info.dli_fname != nullptr
      ? info.dli_fname
      : "unknown file";
}

} // namespace

/// Prints the versions that a problem report needs. Programs may read the first
/// line.
int run_version() {
  set_threads(0);
  const tensor::InstructionSet& set = tensor::instruction_set();
  const char* backend = tensor::backend_name();
  fmt::print("accrue {}\n", ACCRUE_VERSION);
  fmt::print("LibTorch         {}, {}\n", TORCH_VERSION, torch_path());
  fmt::print(
      "instruction set  {}{}\n",
      set.name,
      set.fused_multiply_add
          ? ""
          : " (no fused multiply-add: bits differ from those of other sets)");
  fmt::print("backend          {}\n", backend);
  fmt::print("threads          {}\n", at::get_num_threads());
  return 0;
}

} // namespace accrue::cli
