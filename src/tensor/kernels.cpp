#include "tensor/kernels.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"

namespace accrue::tensor {

#define ACCRUE_DECLARE(isa)   \
  namespace isa {             \
  extern const Kernels table; \
  }
#if defined(__x86_64__)
ACCRUE_DECLARE(avx512bf16)
ACCRUE_DECLARE(avx512)
ACCRUE_DECLARE(avx2)
#endif
#if defined(__aarch64__)
ACCRUE_DECLARE(neon)
#else
ACCRUE_DECLARE(baseline)
#endif
#undef ACCRUE_DECLARE

namespace {

std::vector<InstructionSet> detect() {
  std::vector<InstructionSet> sets;
#if defined(__x86_64__)
  // The levels v3 and v4 of x86-64, by features that clang knows too; what
  // else belongs to a level came with these.
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
    // Intel's CPUs with AMX make a vdpbf16ps in the time of four fp32 multiply-
    // adds, where AMD's gain from it (docs/decisions.md). The bits are the
    // same.
    bool slow = __builtin_cpu_is("intel") && !__builtin_cpu_is("cooperlake");
    sets.insert(
        slow ? sets.end() : sets.begin(),
        {"avx512bf16", &avx512bf16::table, true});
  }
  if (v3) {
    sets.push_back({"avx2", &avx2::table, true});
  }
#endif
#if defined(__aarch64__) // whose baseline it is
  sets.push_back({"neon", &neon::table, true});
#else
  sets.push_back({"baseline", &baseline::table, false});
#endif
  return sets;
}

const InstructionSet& choose() {
  std::span<const InstructionSet> sets = instruction_sets();
  const char* wanted = std::getenv("ACCRUE_ISA");
  if (wanted == nullptr || *wanted == '\0') {
    return sets.front();
  }
  std::string names;
  for (const InstructionSet& set : sets) {
    if (std::string_view(wanted) == set.name) {
      return set;
    }
    names += fmt::format("{}{}", names.empty() ? "" : ", ", set.name);
  }
  throw ConfigError(fmt::format(
      "[ACCRUE_ISA] this CPU has no instruction set \"{}\". It has: {}. Unset "
      "ACCRUE_ISA to take the first of these.",
      wanted,
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
