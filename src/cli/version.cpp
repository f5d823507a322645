#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <string>

#include "accrue/core/version.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "tensor/kernels.h"

namespace accrue::cli {
namespace {

/// The file that LibTorch was loaded from.
std::string torch_path() {
  Dl_info info{};
  auto* function = reinterpret_cast<void*>(&at::get_num_threads);
  return dladdr(function, &info) != 0 && info.dli_fname != nullptr
      ? info.dli_fname
      : "unknown file";
}

} // namespace

/// What a report of a problem should say: the first line is for programs.
int run_version() {
  set_threads(0);
  fmt::print("accrue {}\n", ACCRUE_VERSION);
  fmt::print("LibTorch         {}, {}\n", TORCH_VERSION, torch_path());
  const tensor::InstructionSet& set = tensor::instruction_set();
  fmt::print(
      "instruction set  {}{}\n",
      set.name,
      set.fused_multiply_add
          ? ""
          : " (no fused multiply-add: bits differ from those of other sets)");
  fmt::print("threads          {}\n", at::get_num_threads());
  return 0;
}

} // namespace accrue::cli
