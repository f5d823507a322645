// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tensor/cpu/kernels.h"

namespace accrue::tensor {

/// A test of the kernels of each instruction set that this CPU has.
class KernelTest : public ::testing::TestWithParam<InstructionSet> {
 protected:
  const Kernels& k_ = *GetParam().kernels;
};

inline std::string isa_name(
    const ::testing::TestParamInfo<InstructionSet>& set) {
  return set.param.name;
}

} // namespace accrue::tensor
