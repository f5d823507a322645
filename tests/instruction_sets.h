#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensor/kernels.h"

namespace accrue::tensor {

#if defined(__x86_64__)
namespace avx512bf16 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}
#endif
namespace baseline {
extern const Kernels table;
}

struct Isa {
  const char* name;
  const Kernels* kernels;
};

inline std::vector<Isa> instruction_sets() {
  std::vector<Isa> sets = {{"baseline", &baseline::table}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v3")) {
    sets.push_back({"avx2", &avx2::table});
  }
  if (__builtin_cpu_supports("x86-64-v4")) {
    sets.push_back({"avx512", &avx512::table});
  }
  if (__builtin_cpu_supports("avx512bf16")) {
    sets.push_back({"avx512bf16", &avx512bf16::table});
  }
#endif
  return sets;
}

class KernelTest : public ::testing::TestWithParam<Isa> {
 protected:
  const Kernels& k_ = *GetParam().kernels;
};

inline std::string isa_name(const ::testing::TestParamInfo<Isa>& set) {
  return set.param.name;
}

} // namespace accrue::tensor
