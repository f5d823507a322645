// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>

#include "accrue/device/device.h"
#include "accrue/models/transformer.h"

namespace accrue::testing {

/// Returns the device that ACCRUE_TEST_DEVICE names, by default the CPU.
inline at::Device test_device() {
  const char* name = std::getenv("ACCRUE_TEST_DEVICE");
  return open_device(name == nullptr || *name == '\0' ? "cpu" : name);
}

/// Returns options of a model that lives there.
inline ModelOptions on_test_device(ModelOptions options) {
  options.device = test_device();
  return options;
}

} // namespace accrue::testing
