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
    if (__builtin_cpu_supports("x86-64-v4")) {
      return __builtin_cpu_supports("avx512bf16") ? avx512bf16::table
                                                  : avx512::table;
    }
    if (__builtin_cpu_supports("x86-64-v3")) {
      return avx2::table;
    }
#endif
    return baseline::table;
  }();
  return best;
}

} // namespace accrue::tensor
