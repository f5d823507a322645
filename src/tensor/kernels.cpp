#include "tensor/kernels.h"

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
ACCRUE_DECLARE(baseline)
#undef ACCRUE_DECLARE

const Kernels& kernels() {
  static const Kernels& best = []() -> const Kernels& {
#if defined(__x86_64__)
    // The levels v3 and v4 of x86-64, by features that clang knows too; what
    // else belongs to a level came with these.
    const bool v3 = __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl");
    if (v4) {
      return __builtin_cpu_supports("avx512bf16") ? avx512bf16::table
                                                  : avx512::table;
    }
    if (v3) {
      return avx2::table;
    }
#endif
    return baseline::table;
  }();
  return best;
}

} // namespace accrue::tensor
