// SPDX-License-Identifier: Apache-2.0
#include "tensor/cpu/kernels.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"

namespace accrue::tensor {

// The tables of all instruction sets; the build has those of one architecture
// (cmake/AccrueKernels.cmake), and only these are used below.
#define ACCRUE_DECLARE(isa)   \
  namespace isa {             \
  extern const Kernels table; \
  }
ACCRUE_DECLARE(avx512bf16)
ACCRUE_DECLARE(avx512)
ACCRUE_DECLARE(avx2)
ACCRUE_DECLARE(neon)
ACCRUE_DECLARE(baseline)
#undef ACCRUE_DECLARE

namespace {

std::vector<InstructionSet> detect() {
  std::vector<InstructionSet> sets;
#if defined(__aarch64__)
  sets.push_back({"neon", &neon::table, true}); // part of every such CPU
#else
#if defined(__x86_64__)
  // The levels v3 and v4 of x86-64, by features that clang knows, too; CPUs
  // with these have the rest of the level.
  const bool v3 = __builtin_cpu_supports("avx2") &&
      __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (v4) {
    sets.push_back({"avx512", &avx512::table, true});
  }
  if (v4 && __builtin_cpu_supports("avx512bf16")) {
    // On Intel's CPUs with AMX a vdpbf16ps takes the time of four fp32
    // multiply- adds; on AMD's it is faster than these (docs/decisions.md). The
    // bits are the same.
    bool slow = __builtin_cpu_is("intel") && !__builtin_cpu_is("cooperlake");
    sets.insert(
        slow ? sets.end() : sets.begin(),
        {"avx512bf16", &avx512bf16::table, true});
  }
  if (v3) {
    sets.push_back({"avx2", &avx2::table, true});
  }
#endif
  sets.push_back({"baseline", &baseline::table, false});
#endif
  return sets;
}

const InstructionSet& choose() {
  std::span<const InstructionSet> sets = instruction_sets();
  const char* requested = std::getenv("ACCRUE_ISA");
  if (requested == nullptr || *requested == '\0') {
    return sets.front();
  }
  std::string names;
  for (const InstructionSet& set : sets) {
    if (std::string_view(requested) == set.name) {
      return set;
    }
    names += fmt::format("{}{}", names.empty() ? "" : ", ", set.name);
  }
  throw ConfigError(fmt::format(
      "[ACCRUE_ISA] this CPU has no instruction set \"{}\". It has: {}. Unset "
      "ACCRUE_ISA to take the first of these.",
      requested,
      names));
}

} // namespace

std::span<const InstructionSet> instruction_sets() {
  static const std::vector<InstructionSet> sets = detect();
  return sets;
}

const InstructionSet& instruction_set() {
  static const InstructionSet& chosen = choose();
  return chosen;
}

const Kernels& kernels() {
  static const Kernels& chosen = *instruction_set().kernels;
  return chosen;
}

} // namespace accrue::tensor
